//! The inboxes: messages are sealed streams, and travel through bodies without being held.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use hyper::body::Incoming;
use life_pki::{Timestamp, Uid};
use serde::Deserialize;

use super::http::{Body, Client, body_of, whole};
use super::refusal::{is_not_found, unreadable};
use crate::error::{Error, Fault, Result};
use crate::names;

/// What the platform says of a deposited message.
#[derive(Debug, Deserialize)]
pub struct Deposit {
    /// When it took it.
    pub deposit_time: String,
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

fn missing(error: Error) -> Error {
    if is_not_found(&error) { Fault::MessageNotFound.into() } else { error }
}

impl Client {
    /// Deposits a message; nothing when the caller deposited one under this id before, which stays.
    ///
    /// # Errors
    /// RECIPIENT_NOT_FOUND, INBOX_FULL, MESSAGE_TOO_LARGE.
    pub async fn deposit(&self, to: Uid, id: &[u8; 16], body: Body) -> Result<Option<Deposit>> {
        let path = format!("/v1/inboxes/{to}/messages/{}", names::uuid(id));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        let answer = match self.send_within(Method::PUT, &path, headers, body, None).await {
            Err(error) if error.metadata("platform_reason") == Some("MESSAGE_EXISTS") => return Ok(None),
            Err(error) if is_not_found(&error) => return Err(Fault::RecipientNotFound.into()),
            answer => answer?,
        };
        let bytes = whole(answer.into_body()).await?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| unreadable())
    }

    /// Has the platform issue a receipt over a deposited message's signature and keep it with the message.
    pub async fn deposit_receipt(
        &self,
        to: Uid,
        id: &[u8; 16],
        signature_digest: &[u8; 32],
    ) -> Result<Vec<u8>> {
        let path = format!("/v1/inboxes/{to}/messages/{}/receipt", names::uuid(id));
        self.receipt_at(Method::POST, &path, signature_digest).await
    }

    /// A page of one's own inbox.
    pub async fn inbox(&self, limit: u32, after: &str) -> Result<Page> {
        let after: String = after
            .bytes()
            .map(|c| if c.is_ascii_alphanumeric() { char::from(c).to_string() } else { format!("%{c:02X}") })
            .collect();
        let query = if after.is_empty() { String::new() } else { format!("&after={after}") };
        self.get(&format!("/v1/inbox?limit={limit}{query}")).await
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
