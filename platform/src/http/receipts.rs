//! Receipts: the platform's word on when it saw a signature (FORMATS §4, time).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use life_pki::receipt::Receipt;

use super::body::{self, json};
use super::directory::parse_uid;
use super::dto::{ReceiptAnswer, SignatureDigest};
use super::inbox::{message_unknown, parse_message_id};
use super::peer::Caller;
use super::problem::{Problem, Reason};
use super::state::{App, blocking};
use crate::config::seconds;
use crate::encoding::Base64;
use crate::store::messages;

pub(super) async fn issue(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let digest = requested(&app, request).await?;
    let receipt = blocking(&app, move |app| sign(app, digest)).await?;
    json(StatusCode::OK, &ReceiptAnswer { receipt: Base64(receipt) })
}

/// Keeps the receipt with the message. The first one stays: a later one would only prove less.
pub(super) async fn for_message(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((uid, message_id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let owner = parse_uid(&uid)?;
    let message_id = parse_message_id(&message_id)?.to_owned();
    let digest = requested(&app, request).await?;
    let receipt = blocking(&app, move |app| {
        app.database.write(|tx| {
            let message = messages::find(tx, owner, &message_id)?
                .filter(|message| message.depositor == caller.uid && message.blob.is_some())
                .ok_or_else(message_unknown)?;
            match (message.receipt, message.receipt_digest) {
                (Some(receipt), Some(kept)) if kept == digest => Ok(receipt),
                (Some(_), _) => {
                    let detail = "the message has a receipt over another signature";
                    Err(Problem::new(Reason::MessageConflict, detail))
                }
                _ => {
                    let receipt = sign(app, digest)?;
                    messages::set_receipt(tx, message.sequence, &digest, &receipt)?;
                    Ok(receipt)
                }
            }
        })
    });
    json(StatusCode::OK, &ReceiptAnswer { receipt: Base64(receipt.await?) })
}

async fn requested(app: &App, request: Request) -> Result<[u8; 32], Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let digest: SignatureDigest = body::parse(&parts.headers, &body)?;
    digest
        .signature_digest
        .0
        .try_into()
        .map_err(|_| Problem::new(Reason::InvalidArgument, "signature_digest is SHA-256: 32 bytes"))
}

fn sign(app: &App, signature_digest: [u8; 32]) -> Result<Vec<u8>, Problem> {
    Ok(app.receipts.sign(&Receipt { signature_digest, time: app.clock.now() })?)
}
