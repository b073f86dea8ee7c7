//! What the platform is asked for, apart from registration and inboxes, and the form of its answers.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use life_pki::{KeySlot, Uid};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::http::Client;
use super::refusal::is_not_found;
use crate::error::{Error, Fault, Result};

/// Bytes that stand in JSON as base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        STANDARD.decode(text.as_bytes()).map(Self).map_err(|_| D::Error::custom("not base64"))
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

/// Takes the bytes out.
pub fn plain(list: Vec<Base64>) -> Vec<Vec<u8>> {
    list.into_iter().map(|item| item.0).collect()
}

/// A user's account as the directory shows it; nothing of it is verified yet.
pub struct Account {
    /// The account log, DER entries.
    pub log: Vec<Vec<u8>>,
    /// The root credential's certificate; empty when it is not shown.
    pub root_certificate: Vec<u8>,
    /// The certificates that issued it, the root last.
    pub issuers: Vec<Vec<u8>>,
}

/// One's own account.
pub struct Me {
    /// The account log, DER entries.
    pub log: Vec<Vec<u8>>,
    /// Certificates by slot.
    pub certificates: BTreeMap<KeySlot, Vec<u8>>,
    /// The certificates that issued them, the root last.
    pub issuers: Vec<Vec<u8>>,
}

#[derive(Deserialize)]
struct WireAccount {
    log: Vec<Base64>,
    certificates: BTreeMap<String, Base64>,
    issuers: Vec<Base64>,
}

#[derive(Deserialize)]
struct WireIssuers {
    issuers: Vec<Base64>,
}

#[derive(Deserialize)]
struct WireSeals {
    seals: Vec<WireSeal>,
}

#[derive(Deserialize)]
struct WireSeal {
    credential_id: String,
    seal: Base64,
}

#[derive(Deserialize)]
struct WireReceipt {
    receipt: Base64,
}

#[derive(Serialize)]
struct ReceiptRequest {
    signature_digest: Base64,
}

impl Client {
    /// The current revocation list. Anonymous.
    pub async fn crl(&self) -> Result<Vec<u8>> {
        self.get_bytes("/v1/crl").await.map(Vec::from)
    }

    /// The certificates above every user's, unverified. Anonymous.
    pub async fn issuers(&self) -> Result<Vec<Vec<u8>>> {
        let answer: WireIssuers = self.get("/v1/issuers").await?;
        Ok(plain(answer.issuers))
    }

    /// One's own account.
    pub async fn me(&self) -> Result<Me> {
        let answer: WireAccount = self.get("/v1/me").await?;
        let certificates = answer
            .certificates
            .into_iter()
            .filter_map(|(slot, der)| KeySlot::from_name(&slot).map(|slot| (slot, der.0)))
            .collect();
        Ok(Me { log: plain(answer.log), certificates, issuers: plain(answer.issuers) })
    }

    /// One's own root key seals, of all credentials and generations, each with the credential it is said to be for.
    pub async fn seals(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let answer: WireSeals = self.get("/v1/me/seals").await?;
        Ok(answer.seals.into_iter().map(|item| (item.credential_id, item.seal.0)).collect())
    }

    /// A user's account.
    ///
    /// # Errors
    /// RECIPIENT_NOT_FOUND for one that the platform does not know.
    pub async fn user(&self, uid: Uid) -> Result<Account> {
        let answer: WireAccount = self
            .get(&format!("/v1/users/{uid}"))
            .await
            .map_err(|error| if is_not_found(&error) { Fault::RecipientNotFound.into() } else { error })?;
        let mut certificates = answer.certificates;
        let root_certificate = certificates.remove(KeySlot::Root.name()).unwrap_or_default().0;
        Ok(Account { log: plain(answer.log), root_certificate, issuers: plain(answer.issuers) })
    }

    /// A receipt over a signature value that nothing deposited carries.
    pub async fn receipt(&self, digest: &[u8; 32]) -> Result<Vec<u8>> {
        self.receipt_at(Method::POST, "/v1/receipts", digest).await
    }

    /// A receipt over a signature value, from one of the places that give it.
    pub(super) async fn receipt_at(&self, method: Method, path: &str, digest: &[u8; 32]) -> Result<Vec<u8>> {
        let request = ReceiptRequest { signature_digest: Base64(digest.to_vec()) };
        let body = serde_json::to_vec(&request).map_err(Error::internal)?;
        let answer: WireReceipt = self.send_json(method, path, HeaderMap::new(), body.into()).await?;
        Ok(answer.receipt.0)
    }
}
