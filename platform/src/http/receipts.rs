//! Receipts: the platform's word on when it saw a signature (FORMATS §4, time).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use life_pki::receipt::Receipt;
use life_pki::{Timestamp, Uid};
use rusqlite::Transaction;

use super::body::{self, json};
use super::directory::parse_uid;
use super::dto::{Publish, Published, ReceiptAnswer, SignatureDigest};
use super::inbox::{message_unknown, parse_message_id};
use super::peer::Caller;
use super::problem::{Problem, Reason};
use super::state::{App, blocking};
use crate::config::seconds;
use crate::encoding::Base64;
use crate::store::messages::{self, Message};
use crate::store::pending;

pub(super) async fn issue(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let digest = requested(&app, request).await?;
    let receipt = blocking(&app, move |app| sign(app, digest, app.clock.now())).await?;
    json(StatusCode::OK, &ReceiptAnswer { receipt: Base64(receipt) })
}

/// Makes a message visible and keeps its receipt with it, both or neither. The first receipt stays: a later one would
/// only prove less.
pub(super) async fn for_message(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((uid, message_id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let owner = parse_uid(&uid)?;
    let message_id = parse_message_id(&message_id)?.to_owned();
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let publish: Publish = body::parse(&parts.headers, &body)?;
    let digest = publish.signature_digest.map(digest).transpose()?;
    let published = blocking(&app, move |app| {
        app.database.write(|tx| {
            let known = messages::find(tx, owner, &message_id)?
                .filter(|message| message.depositor == caller.uid && message.blob.is_some());
            let (time, receipt) = match known {
                Some(message) => (message.deposited, kept(app, tx, owner, message, digest)?),
                None => {
                    let pending = pending::find(tx, owner, &message_id)?
                        .filter(|pending| pending.depositor == caller.uid)
                        .ok_or_else(message_unknown)?;
                    let now = app.clock.now();
                    pending::publish(tx, &pending, now)?;
                    (now, digest.map(|digest| keep(app, tx, owner, &message_id, digest, now)).transpose()?)
                }
            };
            let receipt = receipt.map(Base64);
            Ok::<_, Problem>(Published { message_id, deposit_time: time.to_string(), receipt })
        })
    });
    json(StatusCode::OK, &published.await?)
}

/// The receipt of a message that is visible already; a first one may come late.
fn kept(
    app: &App,
    tx: &Transaction<'_>,
    owner: Uid,
    message: Message,
    digest: Option<[u8; 32]>,
) -> Result<Option<Vec<u8>>, Problem> {
    match (message.receipt, digest) {
        (_, None) => Ok(None),
        (None, Some(digest)) => keep(app, tx, owner, &message.id, digest, app.clock.now()).map(Some),
        (receipt, digest) if message.receipt_digest == digest => Ok(receipt),
        _ => {
            let detail = "the message has a receipt over another signature";
            Err(Problem::new(Reason::MessageConflict, detail))
        }
    }
}

fn keep(
    app: &App,
    tx: &Transaction<'_>,
    owner: Uid,
    message_id: &str,
    digest: [u8; 32],
    now: Timestamp,
) -> Result<Vec<u8>, Problem> {
    let receipt = sign(app, digest, now)?;
    messages::set_receipt(tx, owner, message_id, &digest, &receipt)?;
    Ok(receipt)
}

async fn requested(app: &App, request: Request) -> Result<[u8; 32], Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let request: SignatureDigest = body::parse(&parts.headers, &body)?;
    digest(request.signature_digest)
}

pub(super) fn digest(bytes: Base64) -> Result<[u8; 32], Problem> {
    bytes
        .0
        .try_into()
        .map_err(|_| Problem::new(Reason::InvalidArgument, "signature_digest is SHA-256: 32 bytes"))
}

pub(super) fn sign(app: &App, signature_digest: [u8; 32], time: Timestamp) -> Result<Vec<u8>, Problem> {
    Ok(app.receipts.sign(&Receipt { signature_digest, time })?)
}
