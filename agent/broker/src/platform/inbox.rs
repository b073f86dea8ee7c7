//! The inboxes: messages are sealed streams, and travel through bodies without being held.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use hyper::body::Incoming;
use life_pki::{Timestamp, Uid};
use serde::{Deserialize, Serialize};

use super::http::{Body, Client, body_of, whole};
use super::refusal::{is_not_found, unreadable};
use super::rest::Base64;
use crate::error::{Error, Fault, Result};
use crate::names;

/// What became of a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deposit {
    /// The caller's message of this id was visible before, and stays as it is.
    Before,
    /// It is there, invisible until [`Client::publish`].
    Pending,
}

#[derive(Serialize)]
struct Publish {
    signature_digest: Base64,
}

#[derive(Deserialize)]
struct Published {
    deposit_time: String,
}

/// One message in a list.
#[derive(Debug, Deserialize)]
pub struct Listed {
    /// Its id.
    pub message_id: String,
    /// Who deposited it.
    pub depositor: String,
    /// Bytes of ciphertext.
    pub size: u64,
    /// When it was deposited.
    pub deposit_time: String,
}

/// A page of the inbox.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The messages, oldest first.
    pub messages: Vec<Listed>,
    /// Where to go on.
    #[serde(default)]
    pub next: Option<String>,
}

/// Reads the platform's time.
pub fn time(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| unreadable())
}

/// Where a list goes on, as a further part of its query.
pub(super) fn query(after: &str) -> String {
    let after: String = after
        .bytes()
        .map(|c| if c.is_ascii_alphanumeric() { char::from(c).to_string() } else { format!("%{c:02X}") })
        .collect();
    if after.is_empty() { after } else { format!("&after={after}") }
}

fn missing(error: Error) -> Error {
    if is_not_found(&error) { Fault::MessageNotFound.into() } else { error }
}

impl Client {
    /// Deposits a message, in place of one of this id that is still invisible.
    ///
    /// # Errors
    /// RECIPIENT_NOT_FOUND, INBOX_FULL, MESSAGE_TOO_LARGE.
    pub async fn deposit(&self, to: Uid, id: &[u8; 16], body: Body) -> Result<Deposit> {
        let path = format!("/v1/inboxes/{to}/messages/{}", names::uuid(id));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        match self.send_within(Method::PUT, &path, headers, body, None).await {
            Err(error) if error.metadata("platform_reason") == Some("MESSAGE_EXISTS") => Ok(Deposit::Before),
            Err(error) if is_not_found(&error) => Err(Fault::RecipientNotFound.into()),
            Err(error) => Err(error),
            // Read to its end, so that the connection can be used again.
            Ok(answer) => whole(answer.into_body()).await.map(|_| Deposit::Pending),
        }
    }

    /// Makes a deposited message visible, with the platform's receipt over its signature. Returns when it became so.
    pub async fn publish(&self, to: Uid, id: &[u8; 16], signature_digest: &[u8; 32]) -> Result<Timestamp> {
        let path = format!("/v1/inboxes/{to}/messages/{}/receipt", names::uuid(id));
        let request = Publish { signature_digest: Base64(signature_digest.to_vec()) };
        let body = serde_json::to_vec(&request).map_err(Error::internal)?;
        let answer: Published = self.send_json(Method::POST, &path, HeaderMap::new(), body.into()).await?;
        time(&answer.deposit_time)
    }

    /// A page of one's own inbox.
    pub async fn inbox(&self, limit: u32, after: &str) -> Result<Page> {
        self.get(&format!("/v1/inbox?limit={limit}{}", query(after))).await
    }

    /// A message of one's own inbox: its receipt, if there is one, and its body.
    ///
    /// # Errors
    /// MESSAGE_NOT_FOUND.
    pub async fn message(&self, id: &[u8; 16]) -> Result<(Option<Vec<u8>>, Incoming)> {
        let path = format!("/v1/inbox/{}", names::uuid(id));
        let answer =
            self.send(Method::GET, &path, HeaderMap::new(), body_of(Bytes::new())).await.map_err(missing)?;
        let receipt = match answer.headers().get("life-receipt") {
            Some(value) => Some(STANDARD.decode(value.as_bytes()).map_err(|_| unreadable())?),
            None => None,
        };
        Ok((receipt, answer.into_body()))
    }

    /// Deletes a message of one's own inbox, if it is there.
    pub async fn delete_message(&self, id: &[u8; 16]) -> Result<()> {
        let path = format!("/v1/inbox/{}", names::uuid(id));
        match self.send(Method::DELETE, &path, HeaderMap::new(), body_of(Bytes::new())).await {
            Err(error) if is_not_found(&error) => Ok(()),
            answer => answer.map(drop),
        }
    }
}
