//! The bytes of a document: the header in the database and the rest in its file, as one sealed stream.

use std::io::{Cursor, Seek, SeekFrom};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::range::{Wanted, wanted};
use super::{document_unknown, entity_tag, parse_document_id};
use crate::encoding::base64;
use crate::http::body::typed;
use crate::http::inbox::{READ_BUFFER, RECEIPT_HEADER};
use crate::http::peer::Caller;
use crate::http::problem::{Problem, Reason};
use crate::http::state::{App, blocking};
use crate::store::documents::{self, Document, DocumentId};

/// How often a version may be replaced between looking it up and opening its file.
const ATTEMPTS: u32 = 3;

/// A document whose file is open: it stays readable whatever happens to its name.
struct Open {
    document: Document,
    header: Vec<u8>,
    file: std::fs::File,
    skip: u64,
}

/// Gives out the sealed stream, or a part of it.
pub(in crate::http) async fn content(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = parse_document_id(&id)?;
    let Open { document, header, mut file, skip } = blocking(&app, move |app| open(app, id, caller)).await?;
    let tag = entity_tag(document.version, document.revision);
    check_match(&headers, &tag)?;
    let (status, start, end) = match asked(&headers, &tag, document.size) {
        Wanted::All => (StatusCode::OK, 0, document.size),
        Wanted::Part(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
        Wanted::Nothing => {
            let detail = "the range begins behind the end of the content";
            return Err(Problem::new(Reason::RangeNotSatisfiable, detail).content_length(document.size));
        }
    };
    // The header's part, then the file's.
    let seam = header.len() as u64;
    let index = |place: u64| usize::try_from(place.min(seam)).unwrap_or(header.len());
    let head = header.get(index(start)..index(end)).unwrap_or_default().to_vec();
    let from = start.saturating_sub(seam);
    let length = end.saturating_sub(seam).saturating_sub(from);
    file.seek(SeekFrom::Start(skip.saturating_add(from))).map_err(|error| Problem::internal(&error))?;
    let reader = Cursor::new(head).chain(tokio::fs::File::from_std(file).take(length));
    let stream = ReaderStream::with_capacity(reader, READ_BUFFER);
    let mut response = typed(status, "application/octet-stream", Body::from_stream(stream));
    let mut set = |name: HeaderName, value: String| {
        let value = HeaderValue::try_from(value).map_err(|error| Problem::internal(&error))?;
        response.headers_mut().insert(name, value);
        Ok::<_, Problem>(())
    };
    set(CONTENT_LENGTH, (end - start).to_string())?;
    set(ETAG, tag)?;
    set(ACCEPT_RANGES, "bytes".to_owned())?;
    if status == StatusCode::PARTIAL_CONTENT {
        set(CONTENT_RANGE, format!("bytes {start}-{}/{}", end - 1, document.size))?;
    }
    if let Some(receipt) = &document.receipt {
        set(RECEIPT_HEADER, base64(receipt))?;
    }
    Ok(response)
}

fn open(app: &App, id: DocumentId, caller: Caller) -> Result<Open, Problem> {
    let mut attempt = 1;
    loop {
        let (document, content, header) = app.database.read(|connection| {
            let document = documents::readable(connection, id, caller.uid)?.ok_or_else(document_unknown)?;
            // One that was deleted has no beginning either.
            let content = document.content.clone().ok_or_else(document_unknown)?;
            Ok::<_, Problem>((document, content, documents::header(connection, id)?))
        })?;
        match app.blobs.open_blob(&content.blob) {
            Ok(file) => return Ok(Open { document, header, file, skip: content.skip }),
            // A newer version took its place in between.
            Err(error) if error.is_missing() && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// `If-Match` (RFC 9110 §13.1.1): the client goes on with a version only while it is the current one.
fn check_match(headers: &HeaderMap, tag: &str) -> Result<(), Problem> {
    let mut listed = headers.get_all(IF_MATCH).iter().peekable();
    if listed.peek().is_none() || listed.any(|value| value.to_str().is_ok_and(|list| names(list, tag))) {
        return Ok(());
    }
    Err(Problem::new(Reason::PreconditionFailed, "begin again with the version that is current now"))
}

fn names(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|one| one == "*" || one == tag)
}

/// The range that counts: `If-Range` with another tag asks for everything (RFC 9110 §13.1.5).
fn asked(headers: &HeaderMap, tag: &str, length: u64) -> Wanted {
    let current = headers.get(IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
    let mut ranges = headers.get_all(RANGE).iter();
    match (ranges.next().and_then(|value| value.to_str().ok()), ranges.next()) {
        (Some(range), None) if current => wanted(range, length),
        _ => Wanted::All,
    }
}
