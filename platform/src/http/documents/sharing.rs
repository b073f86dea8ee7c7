//! Sharing: more recipients for the present version, whose content stays as it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use life_envelope::Envelope;
use life_envelope::stream::TINK_HEADER;
use life_pki::Uid;
use rusqlite::Transaction;

use super::commit::check_quota;
use super::dto::{Record, ShareDocument};
use super::{
    MAX_METADATA, deleted, document_unknown, parse_document_id, parse_readers, recipients, record,
    spend_write, version_conflict,
};
use crate::config::seconds;
use crate::encoding::sha256;
use crate::http::body::{self, json};
use crate::http::peer::Caller;
use crate::http::problem::{Problem, Reason};
use crate::http::state::{App, blocking};
use crate::store::blobs::DepositError;
use crate::store::documents::{self, DocumentId};
use crate::store::shape::{MAX_START, parse_start};

/// The largest body: a stream's beginning and metadata in base64, and readers as many as they have room for.
const MAX_BODY: usize = (MAX_START as usize + MAX_METADATA) / 3 * 4 + (256 << 10);

/// What a sharing asks for.
struct Wish {
    version: u64,
    revision: u64,
    header: Vec<u8>,
    metadata: Vec<u8>,
    readers: BTreeSet<Uid>,
    /// By which a repeat is known.
    digest: [u8; 32],
}

impl Wish {
    fn check(body: ShareDocument, owner: Uid) -> Result<Self, Problem> {
        parse_start(&body.header.0).map_err(DepositError::Shape)?;
        recipients::parse_metadata(&body.metadata.0)?;
        let readers = parse_readers(&body.readers, owner)?;
        let uids: Vec<u8> = readers.iter().flat_map(|uid| *uid.as_bytes()).collect();
        let (header, metadata) = (sha256(&[&body.header.0]), sha256(&[&body.metadata.0]));
        let digest = sha256(&[b"sharing", &header, &metadata, &uids]);
        let ShareDocument { version, revision, header, metadata, .. } = body;
        Ok(Self { version, revision, header: header.0, metadata: metadata.0, readers, digest })
    }
}

/// Replaces header and metadata by ones with more recipients.
pub(in crate::http) async fn share(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let id = parse_document_id(&id)?;
    let (parts, body) = request.into_parts();
    let body = body::read_within(body, seconds(app.config.timeouts.body), MAX_BODY).await?;
    let body: ShareDocument = body::parse(&parts.headers, &body)?;
    spend_write(&app, caller)?;
    let record = blocking(&app, move |app| {
        let wish = Wish::check(body, caller.uid)?;
        app.database.write(|tx| share_now(app, tx, id, caller, wish))
    });
    json(StatusCode::OK, &record.await?)
}

fn share_now(
    app: &App,
    tx: &Transaction<'_>,
    id: DocumentId,
    caller: Caller,
    wish: Wish,
) -> Result<Record, Problem> {
    let mut document = documents::owned(tx, id, caller.uid)?.ok_or_else(document_unknown)?;
    if document.content.is_none() {
        return Err(deleted());
    }
    let (version, next) = (document.version, wish.revision.saturating_add(1));
    if wish.version == version && document.revision == next && document.shared == Some(wish.digest) {
        return record(tx, document, caller);
    }
    if wish.version != version || wish.revision != document.revision {
        return Err(version_conflict(document.version, document.revision));
    }
    let before = documents::header(tx, id)?;
    let old_metadata = document.metadata.take().unwrap_or_default();
    {
        let shape = |bytes| parse_start(bytes).map_err(DepositError::Shape);
        let (old, new) = (shape(&before)?, shape(&wish.header)?);
        if before.last_chunk::<TINK_HEADER>() != wish.header.last_chunk() {
            return Err(altered());
        }
        let metadata = recipients::parse_metadata(&wish.metadata)?;
        check_only_added(old.envelope(), new.envelope())?;
        check_only_added(&recipients::parse_metadata(&old_metadata)?, &metadata)?;
        let mut readers = documents::readers(tx, id)?;
        readers.extend(&wish.readers);
        recipients::check(tx, new.envelope(), caller.uid, &readers)?;
        recipients::check(tx, &metadata, caller.uid, &readers)?;
        documents::set_readers(tx, &document, &readers)?;
    }
    let replace = |size: u64, old: &[u8], new: &[u8]| {
        size.saturating_sub(old.len() as u64).saturating_add(new.len() as u64)
    };
    document.size = replace(document.size, &before, &wish.header);
    document.stored = replace(document.stored, &before, &wish.header);
    document.stored = replace(document.stored, &old_metadata, &wish.metadata);
    document.revision = next;
    document.updated = app.clock.now();
    document.shared = Some(wish.digest);
    document.metadata = Some(wish.metadata);
    documents::put(tx, &document)?;
    documents::put_header(tx, id, &wish.header)?;
    check_quota(app, tx, caller.uid)?;
    record(tx, document, caller)
}

/// Checks that an envelope is another one with, at most, more recipients and statements.
fn check_only_added(old: &Envelope<'_>, new: &Envelope<'_>) -> Result<(), Problem> {
    let all_there = old.recipients().iter().all(|recipient| new.recipients().contains(recipient));
    if all_there && new.has_content_of(old) { Ok(()) } else { Err(altered()) }
}

fn altered() -> Problem {
    let detail = "sharing adds recipients and leaves the rest; to take one away or to change content, make a new version";
    Problem::new(Reason::ContentRefused, detail)
}
