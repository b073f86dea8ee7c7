//! Registration at the bootstrap level: each request proves possession of an ephemeral key (FORMATS §8).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use life_pki::{KeySlot, ParticipantKind, Uid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::http::Client;
use super::refusal::unreadable;
use super::rest::{Base64, plain};
use crate::clock;
use crate::error::{Error, Fault, Result};

const BEGIN: &[u8] = b"LIFE registration v1\0";
const REQUEST: &[u8] = b"LIFE registration request v1\0";
const PROOF_HEADER: &str = "life-registration-proof";
/// id-ecPublicKey on P-256 with room for an uncompressed point (RFC 5480 §2).
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3,
    1, 7, 3, 0x42, 0,
];

/// How far a registration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Finished.
    Committed,
    /// Ready for keys.
    Open,
    /// A registrar has to approve it.
    PendingApproval,
    /// A registrar refused it.
    Refused,
}

/// A registration under way.
pub struct Registration {
    client: Client,
    key: EcdsaKeyPair,
    /// The platform's name for it.
    pub id: String,
    /// The user id the platform gave.
    pub uid: Uid,
    /// How far it has come.
    pub state: State,
}

life_sys::secret_types!(Registration);

#[derive(Serialize)]
struct Begin<'a> {
    kind: &'a str,
    key: Base64,
    proof: Base64,
}

#[derive(Deserialize)]
struct Begun {
    registration: String,
    uid: String,
    state: State,
}

/// The public keys and requests of the new account.
#[derive(Serialize)]
pub struct Keys {
    /// PKCS#10 request.
    pub authentication_csr: Base64,
    /// PKCS#10 request.
    pub signature_csr: Base64,
    /// SubjectPublicKeyInfo.
    pub encryption_spki: Base64,
    /// SubjectPublicKeyInfo.
    pub root_spki: Base64,
}

#[derive(Deserialize)]
struct Challenges {
    challenges: BTreeMap<String, Base64>,
}

/// What makes an account: answers to the challenges, the first entries of its log and the root key seal.
#[derive(Serialize)]
pub struct Commit {
    answers: BTreeMap<&'static str, Base64>,
    log: Vec<Base64>,
    seal: Base64,
}

impl Commit {
    /// Puts it together.
    pub fn new(encryption_nonce: [u8; 32], root_nonce: [u8; 32], log: Vec<Vec<u8>>, seal: Vec<u8>) -> Self {
        Self {
            answers: BTreeMap::from([
                (KeySlot::Encryption.name(), Base64(encryption_nonce.to_vec())),
                (KeySlot::Root.name(), Base64(root_nonce.to_vec())),
            ]),
            log: log.into_iter().map(Base64).collect(),
            seal: Base64(seal),
        }
    }
}

#[derive(Deserialize)]
struct Committed {
    certificates: BTreeMap<String, Base64>,
    issuers: Vec<Base64>,
}

impl Registration {
    /// Begins a registration with a fresh ephemeral key.
    pub async fn begin(client: Client, kind: ParticipantKind) -> Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(Error::internal)?;
        let spki = spki(&key);
        let proof = sign(&key, &[BEGIN, &spki])?;
        let begin = Begin { kind: kind.name(), key: Base64(spki), proof: Base64(proof) };
        let body = serde_json::to_vec(&begin).map_err(Error::internal)?;
        let begun: Begun =
            client.send_json(Method::POST, "/v1/registrations", HeaderMap::new(), body.into()).await?;
        Self::from_begun(client, key, begun)
    }

    /// Goes on with a registration begun earlier, whose key was kept.
    pub async fn resume(client: Client, id: &str, pkcs8: &[u8]) -> Result<Self> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
            .map_err(|_| stored_key_unusable())?;
        let path = format!("/v1/registrations/{id}");
        let begun: Begun = call(&client, &key, Method::GET, &path, Bytes::new()).await?;
        Self::from_begun(client, key, begun)
    }

    fn from_begun(client: Client, key: EcdsaKeyPair, begun: Begun) -> Result<Self> {
        let id_ok = begun.registration.len() <= 64
            && begun.registration.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        let uid = begun.uid.parse().map_err(|_| unreadable())?;
        if !id_ok || begun.registration.is_empty() {
            return Err(unreadable());
        }
        Ok(Self { client, key, id: begun.registration, uid, state: begun.state })
    }

    /// The ephemeral key, to be kept while a registrar decides.
    pub fn key_to_keep(&self) -> Result<Vec<u8>> {
        self.key.to_pkcs8v1().map(|der| der.as_ref().to_vec()).map_err(Error::internal)
    }

    /// Hands in public keys and requests; gets challenges for the keys that never sign.
    pub async fn put_keys(&self, keys: &Keys) -> Result<(Vec<u8>, Vec<u8>)> {
        let body = serde_json::to_vec(keys).map_err(Error::internal)?;
        let path = format!("/v1/registrations/{}/keys", self.id);
        let mut answer: Challenges = call(&self.client, &self.key, Method::PUT, &path, body.into()).await?;
        let mut take = |slot: KeySlot| answer.challenges.remove(slot.name()).ok_or_else(unreadable);
        Ok((take(KeySlot::Encryption)?.0, take(KeySlot::Root)?.0))
    }

    /// Commits; gets the certificates of the four slots and those that issued them. Repeating it changes nothing.
    pub async fn commit(&self, commit: &Commit) -> Result<(BTreeMap<KeySlot, Vec<u8>>, Vec<Vec<u8>>)> {
        let body: Bytes = serde_json::to_vec(commit).map_err(Error::internal)?.into();
        let path = format!("/v1/registrations/{}/commit", self.id);
        let answer: Committed = match call(&self.client, &self.key, Method::POST, &path, body.clone()).await {
            // The platform may have committed and the answer got lost: the call is idempotent.
            Err(error) if error.fault() == Fault::PlatformUnavailable => {
                call(&self.client, &self.key, Method::POST, &path, body).await?
            }
            answer => answer?,
        };
        let certificates = answer
            .certificates
            .into_iter()
            .filter_map(|(slot, der)| KeySlot::from_name(&slot).map(|slot| (slot, der.0)))
            .collect();
        Ok((certificates, plain(answer.issuers)))
    }
}

/// A kept key that cannot be read.
fn stored_key_unusable() -> Error {
    Fault::StateUnusable.because("the kept registration is damaged")
}

/// Sends a request with its proof.
async fn call<T: DeserializeOwned>(
    client: &Client,
    key: &EcdsaKeyPair,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<T> {
    let seconds = clock::now()?.unix().to_string();
    let hash = digest(&SHA256, &body);
    let parts = [
        REQUEST,
        method.as_str().as_bytes(),
        b" ",
        path.as_bytes(),
        b"\n",
        seconds.as_bytes(),
        b"\n",
        hash.as_ref(),
    ];
    let proof = format!("{seconds}.{}", STANDARD.encode(sign(key, &parts)?));
    let mut headers = HeaderMap::new();
    headers.insert(PROOF_HEADER, HeaderValue::try_from(proof).map_err(Error::internal)?);
    client.send_json(method, path, headers, body).await
}

fn sign(key: &EcdsaKeyPair, parts: &[&[u8]]) -> Result<Vec<u8>> {
    key.sign(&SystemRandom::new(), &parts.concat())
        .map(|signature| signature.as_ref().to_vec())
        .map_err(Error::internal)
}

fn spki(key: &EcdsaKeyPair) -> Vec<u8> {
    [SPKI_P256.as_slice(), key.public_key().as_ref()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ephemeral_key_is_a_public_key_and_survives_keeping() {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = life_pki::PublicKey::from_spki(&spki(&key)).unwrap();
        let kept = key.to_pkcs8v1().unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, kept.as_ref()).unwrap();
        public.verify(b"ab", &sign(&key, &[b"a", b"b"]).unwrap()).unwrap();
    }
}
