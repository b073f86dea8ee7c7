//! The owner's side of an inbox: list, fetch, delete. Nobody else's inbox can even be named here.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio_util::io::ReaderStream;

use super::body::{json, typed};
use super::dto::{MessageInfo, Messages};
use super::page::Page;
use super::peer::Caller;
use super::problem::{Problem, Reason};
use super::state::{App, blocking};
use crate::encoding::base64;
use crate::store::messages;

/// The header that carries a message's receipt, when there is one.
pub const RECEIPT_HEADER: HeaderName = HeaderName::from_static("life-receipt");

/// Messages on a page.
pub const MAX_PAGE: u32 = 1000;
const MAX_MESSAGE_ID: usize = 64;
pub(super) const READ_BUFFER: usize = 256 << 10;

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let page = Page::parse(query.as_deref().unwrap_or_default(), MAX_PAGE)?;
    let found = blocking(&app, move |app| {
        let more = page.limit.saturating_add(1);
        Ok(app.database.read(|connection| messages::list(connection, caller.uid, page.after, more))?)
    });
    let mut found = found.await?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.sequence.to_string());
    let messages = found.into_iter().map(|message| MessageInfo {
        message_id: message.id,
        depositor: message.depositor.to_string(),
        size: message.size,
        deposit_time: message.deposited.to_string(),
    });
    json(StatusCode::OK, &Messages { messages: messages.collect(), next })
}

pub(super) async fn fetch(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(message_id): Path<String>,
) -> Result<Response, Problem> {
    let message_id = parse_message_id(&message_id)?.to_owned();
    let (message, file) = blocking(&app, move |app| {
        let message = app
            .database
            .read(|connection| messages::find(connection, caller.uid, &message_id))?
            .ok_or_else(message_unknown)?;
        let blob = message.blob.as_deref().ok_or_else(message_unknown)?;
        let file = app.blobs.open_blob(blob)?;
        Ok((message, file))
    })
    .await?;
    let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), READ_BUFFER);
    let mut response = typed(StatusCode::OK, "application/octet-stream", Body::from_stream(stream));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(message.size));
    if let Some(receipt) = message.receipt {
        let value = HeaderValue::try_from(base64(&receipt)).map_err(|error| Problem::internal(&error))?;
        headers.insert(RECEIPT_HEADER, value);
    }
    Ok(response)
}

/// Deletes a message; deleting it again is no error.
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(message_id): Path<String>,
) -> Result<StatusCode, Problem> {
    let message_id = parse_message_id(&message_id)?.to_owned();
    blocking(&app, move |app| {
        let now = app.clock.now();
        let blob = app.database.write(|tx| {
            messages::find(tx, caller.uid, &message_id)?.ok_or_else(message_unknown)?;
            Ok::<_, Problem>(messages::delete(tx, caller.uid, &message_id, now)?)
        })?;
        // The name is gone for good before the bytes are.
        if let Some(blob) = blob {
            app.blobs.remove(&blob);
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Checks a message id: 1 to 64 letters, digits, `-` and `_`.
pub(super) fn parse_message_id(text: &str) -> Result<&str, Problem> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=MAX_MESSAGE_ID).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text)
    } else {
        let detail = "a message id has 1 to 64 letters, digits, - and _";
        Err(Problem::new(Reason::InvalidArgument, detail))
    }
}

pub(super) fn message_unknown() -> Problem {
    Problem::new(Reason::MessageUnknown, "there is none of this id, or it was deleted")
}
