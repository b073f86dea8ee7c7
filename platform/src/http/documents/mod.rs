//! Documents: content in versions, for its owner and the readers its owner names.
//!
//! Whoever has no right to a document gets the same answer as for one that does not exist. The one exception cannot be
//! helped: an id that is taken cannot be created, so creating tells that; ids are random and not to be guessed.

mod commit;
mod content;
pub mod dto;
mod list;
pub mod range;
pub mod recipients;
mod sharing;
mod uploads;

use std::collections::BTreeSet;

use life_pki::Uid;
use rusqlite::Connection;

pub(super) use commit::commit;
pub(super) use content::content;
pub(super) use list::{list, remove, show};
pub(super) use sharing::share;
pub(super) use uploads::{append, begin, give_up, show_upload};

use self::dto::Record;
use super::directory::parse_uid;
use super::level::slow_down;
use super::peer::Caller;
use super::problem::{Problem, Reason};
use super::state::App;
use crate::encoding::{Base64, parse_id};
use crate::store::documents::{self, Document, DocumentId, UploadId};

/// Documents on a page.
pub const MAX_PAGE: u32 = 100;
/// The largest envelope with metadata.
const MAX_METADATA: usize = 512 << 10;

fn parse_document_id(text: &str) -> Result<DocumentId, Problem> {
    DocumentId::parse(text).ok_or_else(|| {
        Problem::new(Reason::InvalidArgument, "a document id is a random (version 4) UUID in lower case")
    })
}

fn parse_upload_id(text: &str) -> Result<UploadId, Problem> {
    let detail = "an upload id has 32 hexadecimal digits in lower case";
    parse_id(text).ok_or_else(|| Problem::new(Reason::InvalidArgument, detail))
}

/// Reads a list of readers; the owner is none, and nobody is one twice.
fn parse_readers(readers: &[String], owner: Uid) -> Result<BTreeSet<Uid>, Problem> {
    let mut parsed = readers.iter().map(|uid| parse_uid(uid)).collect::<Result<BTreeSet<_>, _>>()?;
    parsed.remove(&owner);
    Ok(parsed)
}

fn spend_write(app: &App, caller: Caller) -> Result<(), Problem> {
    app.document_writes.spend(caller.uid, std::time::Instant::now()).map_err(slow_down)
}

/// A document as this caller may see it.
fn record(connection: &Connection, document: Document, caller: Caller) -> Result<Record, Problem> {
    let readers = if document.owner == caller.uid {
        documents::readers(connection, document.id)?.iter().map(Uid::to_string).collect()
    } else {
        vec![caller.uid.to_string()]
    };
    Ok(Record {
        document_id: document.id.to_string(),
        version: document.version,
        revision: document.revision,
        status: if document.content.is_some() { "CURRENT" } else { "DELETED" },
        owner: document.owner.to_string(),
        size: document.size,
        create_time: document.created.to_string(),
        update_time: document.updated.to_string(),
        metadata: document.metadata.map(Base64),
        receipt: document.receipt.map(Base64),
        readers,
    })
}

/// The strong entity tag of a version and its sharings.
fn entity_tag(version: u64, revision: u64) -> String {
    format!("\"{version}-{revision}\"")
}

fn document_unknown() -> Problem {
    Problem::new(Reason::DocumentUnknown, "there is none of this id, or it is not for you")
}

fn upload_unknown() -> Problem {
    Problem::new(Reason::UploadUnknown, "it was given up, committed, or has expired; begin another one")
}

fn version_conflict(version: u64, revision: u64) -> Problem {
    let detail =
        format!("the document is at version {version}, shared {revision} times; look at it and decide anew");
    Problem::new(Reason::VersionConflict, detail).current(version, revision)
}

fn deleted() -> Problem {
    Problem::new(Reason::DocumentConflict, "the document was deleted; choose a new random id for another one")
}
