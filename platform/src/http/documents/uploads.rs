//! Uploads: a document's content in as many requests as it takes.
//!
//! An append acknowledges what it synced, also when its body breaks off; the client asks how far that is and goes on.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use rusqlite::Connection;

use super::dto::{BeginUpload, UploadInfo};
use super::range::parse_offset;
use super::{
    deleted, document_unknown, parse_document_id, parse_upload_id, spend_write, upload_unknown,
    version_conflict,
};
use crate::config::seconds;
use crate::encoding::random;
use crate::http::body::{self, expect_type, json};
use crate::http::level::slow_down;
use crate::http::peer::Caller;
use crate::http::pieces::Pieces;
use crate::http::problem::{Problem, Reason, UPLOAD_OFFSET};
use crate::http::state::{App, blocking};
use crate::http::turns::Turn;
use crate::store::blobs::DepositError;
use crate::store::documents::{self, DocumentId, UploadId};
use crate::store::parts::Part;
use crate::store::uploads::{self, Upload};
use crate::store::{messages, usage};

/// After so many bytes an append that goes on acknowledges what it has.
const CHECKPOINT: u64 = 8 << 20;

/// An upload that nothing comes for this long, in seconds, gives its place to another of the same document.
const QUIET: u32 = 60;

/// Which upload, of whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub caller: Caller,
    pub document: DocumentId,
    pub upload: UploadId,
}

impl Key {
    pub(super) fn parse(caller: Caller, document: &str, upload: &str) -> Result<Self, Problem> {
        Ok(Self { caller, document: parse_document_id(document)?, upload: parse_upload_id(upload)? })
    }

    /// Finds the upload.
    pub(super) fn find(self, app: &App, connection: &Connection) -> Result<Option<Upload>, Problem> {
        let found = uploads::find(connection, self.caller.uid, self.upload, app.clock.now())?;
        Ok(found.filter(|upload| upload.document == self.document))
    }
}

/// Checks that a version is the next one of a document that this caller may make.
pub(super) fn check_next(
    connection: &Connection,
    id: DocumentId,
    caller: Caller,
    version: u64,
) -> Result<(), Problem> {
    match documents::standing(connection, id)? {
        _ if version == 0 => Err(Problem::new(Reason::InvalidArgument, "versions begin with 1")),
        None if version == 1 => Ok(()),
        None => Err(document_unknown()),
        Some(document) if document.owner != caller.uid => Err(if version == 1 {
            Problem::new(Reason::DocumentConflict, "choose a new random id for the document")
        } else {
            document_unknown()
        }),
        Some(document) if document.deleted => Err(deleted()),
        Some(document) if document.version.checked_add(1) == Some(version) => Ok(()),
        Some(document) => Err(version_conflict(document.version, document.revision)),
    }
}

/// Begins an upload; the same id again shows the upload it began.
pub(in crate::http) async fn begin(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(document): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let body = body::read(body, seconds(app.config.timeouts.body)).await?;
    let wish: BeginUpload = body::parse(&parts.headers, &body)?;
    let key = Key::parse(caller, &document, &wish.upload_id)?;
    spend_write(&app, caller)?;
    let (status, upload) = blocking(&app, move |app| begin_now(app, key, wish.version)).await?;
    json(status, &info(&upload))
}

fn begin_now(app: &App, key: Key, version: u64) -> Result<(StatusCode, Upload), Problem> {
    let limits = &app.config.limits;
    let owner = key.caller.uid;
    app.database.write(|tx| {
        check_next(tx, key.document, key.caller, version)?;
        let now = app.clock.now();
        match uploads::find(tx, owner, key.upload, now)? {
            Some(upload) if upload.document == key.document && upload.version == version => {
                return Ok((StatusCode::OK, upload));
            }
            Some(_) => {
                let detail = "the upload id is in use for something else; choose a new random one";
                return Err(Problem::new(Reason::InvalidArgument, detail));
            }
            // One that expired and was not swept yet.
            None => uploads::give_up(tx, owner, key.upload)?,
        };
        let full = || {
            let used = usage::documents(tx, owner)?;
            let another = version == 1 && used.documents.saturating_add(used.uploads) >= limits.documents;
            let uploads = used.uploads >= limits.document_uploads;
            Ok::<_, Problem>(another || uploads || used.bytes >= limits.documents_bytes)
        };
        if full()? {
            // One whose client is gone must not keep the document itself from being stored; one at work stays.
            let quiet = now.plus(app.config.timeouts.upload.saturating_sub(QUIET));
            uploads::give_up_quiet(tx, owner, key.document, quiet)?;
            if full()? {
                return Err(DepositError::DocumentsFull.into());
            }
        }
        let upload = Upload {
            owner,
            id: key.upload,
            document: key.document,
            version,
            blob: hex::encode(random::<16>()?),
            received: 0,
            expires: now.plus(app.config.timeouts.upload),
        };
        uploads::insert(tx, &upload)?;
        Ok((StatusCode::CREATED, upload))
    })
}

/// Shows how far an upload is.
pub(in crate::http) async fn show_upload(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((document, upload)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let key = Key::parse(caller, &document, &upload)?;
    let upload = blocking(&app, move |app| {
        app.database.read(|connection| key.find(app, connection))?.ok_or_else(upload_unknown)
    });
    json(StatusCode::OK, &info(&upload.await?))
}

/// Gives an upload up; one that is not there is given up already.
pub(in crate::http) async fn give_up(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((document, upload)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let key = Key::parse(caller, &document, &upload)?;
    let found = blocking(&app, move |app| app.database.read(|connection| key.find(app, connection))).await?;
    if let Some(upload) = found {
        let turn = app.turns.take(&upload.blob).await;
        blocking(&app, move |app| {
            let _turn = turn;
            abandon(app, key, &upload)
        })
        .await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets an upload, unless another one has its id by now. Its file goes, unless the upload was committed meanwhile: then
/// it is the document's.
fn abandon(app: &App, key: Key, upload: &Upload) -> Result<(), Problem> {
    app.database.write(|tx| {
        let present = key.find(app, tx)?.filter(|present| present.blob == upload.blob);
        present.map(|present| uploads::give_up(tx, present.owner, present.id)).transpose()?;
        Ok::<_, Problem>(())
    })?;
    // The name is gone for good before the bytes are.
    remove_unnamed(app, &upload.blob)
}

/// Removes a file that nothing in the database names any more.
fn remove_unnamed(app: &App, blob: &str) -> Result<(), Problem> {
    if !app.database.read(|connection| messages::has_blob(connection, blob))? {
        app.blobs.remove(blob);
    }
    Ok(())
}

/// Appends a body.
pub(in crate::http) async fn append(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path((document, upload)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let key = Key::parse(caller, &document, &upload)?;
    let (parts, body) = request.into_parts();
    expect_type(&parts.headers, "application/octet-stream")?;
    let number = |name| parts.headers.get(name).and_then(|value| parse_offset(value.to_str().ok()?));
    let offset = number(UPLOAD_OFFSET).ok_or_else(|| {
        Problem::new(Reason::InvalidArgument, "say where the bytes belong: upload-offset: N")
    })?;
    let announced = number(CONTENT_LENGTH).unwrap_or_default();
    if offset.saturating_add(announced) > app.config.limits.document_bytes {
        return Err(DepositError::TooLarge.into());
    }
    app.document_appends.spend(caller.uid, std::time::Instant::now()).map_err(slow_down)?;
    let find = move |app: &App| app.database.read(|connection| key.find(app, connection));
    let found = blocking(&app, find).await?.ok_or_else(upload_unknown)?;
    let turn = app.turns.take(&found.blob).await;
    let body = Pieces::new(body, &app.config);
    // A task of its own: what arrived is acknowledged also when the client goes away before the answer.
    let received = tokio::spawn(receive(Arc::clone(&app), turn, key, offset, body));
    let upload = received.await.unwrap_or_else(|error| Err(Problem::internal(&error)))?;
    json(StatusCode::OK, &info(&upload))
}

async fn receive(
    app: Arc<App>,
    turn: Turn,
    key: Key,
    offset: u64,
    mut body: Pieces,
) -> Result<Upload, Problem> {
    let mut arriving = blocking(&app, move |app| Arriving::open(app, key, offset)).await?;
    let ended = loop {
        let batch = tokio::select! {
            biased;
            () = turn.wanted() => Err(taken_over()),
            batch = body.next() => batch,
        };
        let batch = match batch {
            Ok(Some(batch)) => batch,
            Ok(None) => break Ok(()),
            Err(problem) => break Err(problem),
        };
        let (back, outcome) = blocking(&app, move |app| {
            let outcome = arriving.push(app, &batch);
            Ok((arriving, outcome))
        })
        .await?;
        arriving = back;
        if outcome.is_err() {
            break outcome;
        }
    };
    blocking(&app, move |app| {
        // Released once nothing is written any more.
        let _turn = turn;
        arriving.end(app, ended)
    })
    .await
}

fn taken_over() -> Problem {
    Problem::new(Reason::UploadOffsetMismatch, "another request goes on with this upload")
}

/// An append under way.
struct Arriving {
    key: Key,
    upload: Upload,
    part: Part,
    /// How long the upload may become by the quota.
    room: u64,
}

impl Arriving {
    fn open(app: &App, key: Key, offset: u64) -> Result<Self, Problem> {
        let (upload, room) = app.database.read(|connection| {
            let upload = key.find(app, connection)?.ok_or_else(upload_unknown)?;
            check_next(connection, key.document, key.caller, upload.version)?;
            let room = room(app, &usage::documents(connection, upload.owner)?, &upload);
            Ok::<_, Problem>((upload, room))
        })?;
        if upload.received != offset {
            let detail = "go on where the upload ends, as header upload-offset says";
            return Err(Problem::new(Reason::UploadOffsetMismatch, detail).upload_offset(upload.received));
        }
        let part = app.blobs.open_part(&upload)?;
        Ok(Self { key, upload, part, room })
    }

    fn push(&mut self, app: &App, batch: &[Bytes]) -> Result<(), Problem> {
        for piece in batch {
            let size = self.part.size().saturating_add(piece.len() as u64);
            if size > app.config.limits.document_bytes {
                return Err(DepositError::TooLarge.into());
            }
            if size > self.room {
                return Err(DepositError::DocumentsFull.into());
            }
            match app.blobs.append(&mut self.part, piece) {
                Ok(()) => {}
                Err(fault @ DepositError::Shape(_)) => {
                    // Nothing that is no ciphertext stays here.
                    abandon(app, self.key, &self.upload)?;
                    return Err(fault.into());
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        if self.part.open_bytes() >= CHECKPOINT { self.acknowledge(app) } else { Ok(()) }
    }

    /// Makes durable what arrived, then counts it.
    fn acknowledge(&mut self, app: &App) -> Result<(), Problem> {
        self.part.sync()?;
        let next = Upload {
            received: self.part.size(),
            expires: app.clock.now().plus(app.config.timeouts.upload),
            ..self.upload.clone()
        };
        let known = app.database.write(|tx| {
            if !uploads::advance(tx, &next)? {
                return Ok(None);
            }
            let used = usage::documents(tx, next.owner)?;
            if used.bytes > app.config.limits.documents_bytes {
                return Err(Problem::from(DepositError::DocumentsFull));
            }
            Ok(Some(room(app, &used, &next)))
        })?;
        let Some(room) = known else {
            // It was given up meanwhile, and the file perhaps made anew since.
            remove_unnamed(app, &self.upload.blob)?;
            return Err(upload_unknown());
        };
        self.part.acknowledge();
        (self.upload, self.room) = (next, room);
        Ok(())
    }

    /// Acknowledges the rest, whatever ended the body, and answers.
    fn end(mut self, app: &App, ended: Result<(), Problem>) -> Result<Upload, Problem> {
        if ended.as_ref().is_err_and(|problem| problem.reason == Reason::ContentRefused) {
            return ended.map(|()| self.upload);
        }
        // Even of nothing, when nothing is there yet: it finds out whether the file that was made has a name.
        let fresh = self.upload.received == 0;
        let acknowledged = if fresh || self.part.open_bytes() > 0 { self.acknowledge(app) } else { Ok(()) };
        if acknowledged.is_err() {
            self.part.take_back();
        }
        match ended.and(acknowledged) {
            Ok(()) => Ok(self.upload),
            Err(problem) if problem.reason == Reason::UploadUnknown => Err(problem),
            Err(problem) => Err(problem.upload_offset(self.upload.received)),
        }
    }
}

/// How long an upload may become by its owner's quota.
fn room(app: &App, used: &usage::Documents, upload: &Upload) -> u64 {
    app.config.limits.documents_bytes.saturating_sub(used.bytes).saturating_add(upload.received)
}

fn info(upload: &Upload) -> UploadInfo {
    UploadInfo {
        upload_id: hex::encode(upload.id),
        document_id: upload.document.to_string(),
        version: upload.version,
        offset: upload.received,
        expire_time: upload.expires.to_string(),
    }
}
