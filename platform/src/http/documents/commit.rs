//! The commit of an upload: one transaction makes a version current, or nothing happens.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use life_pki::Uid;
use rusqlite::Transaction;

use super::dto::{CommitDocument, Record};
use super::uploads::{Key, check_next};
use super::{parse_readers, recipients, record, spend_write, upload_unknown, version_conflict};
use crate::config::seconds;
use crate::encoding::sha256;
use crate::http::body::{self, json};
use crate::http::peer::Caller;
use crate::http::problem::Problem;
use crate::http::receipts;
use crate::http::state::{App, blocking};
use crate::store::blobs::DepositError;
use crate::store::documents::{self, Content, Document};
use crate::store::messages::doom;
use crate::store::parts::Whole;
use crate::store::shape::parse_start;
use crate::store::uploads::{self, Upload};
use crate::store::usage;

/// What a commit asks for.
struct Wish {
    metadata: Vec<u8>,
    signature_digest: [u8; 32],
    readers: BTreeSet<Uid>,
    replaces_revision: Option<u64>,
    /// By which a repeat is known.
    digest: [u8; 32],
}

impl Wish {
    fn check(body: CommitDocument, owner: Uid) -> Result<Self, Problem> {
        recipients::parse_metadata(&body.metadata.0)?;
        let readers = parse_readers(&body.readers, owner)?;
        let signature_digest = receipts::digest(body.signature_digest)?;
        let uids: Vec<u8> = readers.iter().flat_map(|uid| *uid.as_bytes()).collect();
        let digest = sha256(&[b"commit", &signature_digest, &sha256(&[&body.metadata.0]), &uids]);
        let CommitDocument { metadata, replaces_revision, .. } = body;
        Ok(Self { metadata: metadata.0, signature_digest, readers, replaces_revision, digest })
    }
}

/// Makes an upload the document's current version, with its metadata, readers and receipt.
pub(in crate::http) async fn commit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((document, upload)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let key = Key::parse(caller, &document, &upload)?;
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let body: CommitDocument = body::parse(&parts.headers, &body)?;
    spend_write(&app, caller)?;
    let found = blocking(&app, move |app| app.database.read(|connection| key.find(app, connection)));
    let turn = match found.await? {
        Some(upload) => Some(app.turns.take(&upload.blob).await),
        None => None,
    };
    let record = blocking(&app, move |app| {
        let _turn = turn;
        commit_now(app, key, &Wish::check(body, caller.uid)?)
    });
    json(StatusCode::OK, &record.await?)
}

fn commit_now(app: &App, key: Key, wish: &Wish) -> Result<Record, Problem> {
    let upload = app.database.read(|connection| {
        let upload = key.find(app, connection)?;
        if let Some(upload) = &upload {
            // Before the file is looked at: whoever comes too late hears that.
            check_next(connection, key.document, key.caller, upload.version)?;
        }
        Ok::<_, Problem>(upload)
    })?;
    let Some(upload) = upload else { return repeated(app, key, wish) };
    let whole = app.blobs.check_part(&upload)?;
    let (record, earlier) = app.database.write(|tx| {
        // The turn keeps appends away, but the upload may have expired, and another one may have been faster.
        let state = |upload: &Upload| (upload.blob.clone(), upload.received);
        if key.find(app, tx)?.is_none_or(|present| state(&present) != state(&upload)) {
            return Err(upload_unknown());
        }
        make_current(app, tx, key, wish, &upload, &whole)
    })?;
    if let Some(blob) = earlier {
        app.blobs.remove(&blob);
    }
    Ok(record)
}

/// Writes the version; returns the file of the one before.
fn make_current(
    app: &App,
    tx: &Transaction<'_>,
    key: Key,
    wish: &Wish,
    upload: &Upload,
    whole: &Whole,
) -> Result<(Record, Option<String>), Problem> {
    check_next(tx, key.document, key.caller, upload.version)?;
    let before = documents::owned(tx, key.document, key.caller.uid)?;
    let revision = before.as_ref().map_or(0, |before| before.revision);
    if wish.replaces_revision.is_some_and(|replaces| replaces != revision) {
        // Its readers were taken from a revision that somebody was added to since.
        return Err(version_conflict(upload.version.saturating_sub(1), revision));
    }
    let header = parse_start(&whole.start).map_err(DepositError::Shape)?;
    let metadata = recipients::parse_metadata(&wish.metadata)?;
    recipients::check(tx, header.envelope(), key.caller.uid, &wish.readers)?;
    recipients::check(tx, &metadata, key.caller.uid, &wish.readers)?;
    let now = app.clock.now();
    let skip = whole.start.len() as u64;
    let document = Document {
        id: key.document,
        owner: key.caller.uid,
        version: upload.version,
        revision: 0,
        created: before.as_ref().map_or(now, |before| before.created),
        updated: now,
        stored: whole.size.saturating_add(skip).saturating_add(wish.metadata.len() as u64),
        content: Some(Content { blob: upload.blob.clone(), file_size: whole.size, skip }),
        size: whole.size,
        upload: Some(upload.id),
        committed: Some(wish.digest),
        shared: None,
        receipt: Some(receipts::sign(app, wish.signature_digest, now)?),
        metadata: Some(wish.metadata.clone()),
    };
    let earlier = before.and_then(|before| before.content).map(|content| content.blob);
    if let Some(blob) = &earlier {
        doom(tx, blob)?;
    }
    uploads::complete(tx, upload)?;
    documents::put(tx, &document)?;
    documents::put_header(tx, document.id, &whole.start)?;
    documents::set_readers(tx, &document, &wish.readers)?;
    check_quota(app, tx, key.caller.uid)?;
    Ok((record(tx, document, key.caller)?, earlier))
}

/// Refuses what has taken more than there is room for; what was written in this transaction is gone then.
pub(super) fn check_quota(app: &App, tx: &Transaction<'_>, owner: Uid) -> Result<(), Problem> {
    let used = usage::documents(tx, owner)?;
    let limits = &app.config.limits;
    if used.bytes > limits.documents_bytes || used.readers > limits.documents_readers {
        return Err(DepositError::DocumentsFull.into());
    }
    Ok(())
}

/// A commit whose upload is gone: the one that was answered before, or a mistake.
fn repeated(app: &App, key: Key, wish: &Wish) -> Result<Record, Problem> {
    app.database.read(|connection| {
        let document = documents::owned(connection, key.document, key.caller.uid)?
            .filter(|document| document.upload == Some(key.upload))
            .ok_or_else(upload_unknown)?;
        if document.committed != Some(wish.digest) {
            return Err(version_conflict(document.version, document.revision));
        }
        record(connection, document, key.caller)
    })
}
