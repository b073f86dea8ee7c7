//! Documents as a whole: list, look, delete.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::header::ETAG;
use http::{HeaderValue, StatusCode};

use super::dto::Documents;
use super::range::parse_version;
use super::{
    MAX_PAGE, document_unknown, entity_tag, parse_document_id, record, spend_write, version_conflict,
};
use crate::http::body::json;
use crate::http::page::Page;
use crate::http::peer::Caller;
use crate::http::problem::{Problem, Reason};
use crate::http::state::{App, blocking};
use crate::store::{documents, uploads};

/// A page ends once it has so many bytes of metadata.
const PAGE_BYTES: usize = 2 << 20;

/// Lists what the caller owns or may read, in the order in which it came to the caller.
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let page = Page::parse(query.as_deref().unwrap_or_default(), MAX_PAGE)?;
    let answer = blocking(&app, move |app| {
        app.database.read(|connection| {
            let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
            let (found, more) = documents::list(connection, caller.uid, page.after, limit, PAGE_BYTES)?;
            let next = found.last().filter(|_| more).map(|last| last.sequence.to_string());
            let records = found.into_iter().map(|listed| record(connection, listed.document, caller));
            Ok::<_, Problem>(Documents { documents: records.collect::<Result<_, _>>()?, next })
        })
    });
    json(StatusCode::OK, &answer.await?)
}

/// Shows one document; to its owner also that it was deleted.
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = parse_document_id(&id)?;
    let record = blocking(&app, move |app| {
        app.database.read(|connection| {
            let document = documents::readable(connection, id, caller.uid)?.ok_or_else(document_unknown)?;
            record(connection, document, caller)
        })
    })
    .await?;
    let tag = HeaderValue::try_from(entity_tag(record.version, record.revision))
        .map_err(|error| Problem::internal(&error))?;
    let mut response = json(StatusCode::OK, &record)?;
    response.headers_mut().insert(ETAG, tag);
    Ok(response)
}

/// Deletes a document at a version; deleting it again is no error.
pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Problem> {
    let id = parse_document_id(&id)?;
    let version = parse_version(query.as_deref().unwrap_or_default())
        .ok_or_else(|| Problem::new(Reason::InvalidArgument, "say which version is deleted: ?version=N"))?;
    spend_write(&app, caller)?;
    blocking(&app, move |app| {
        let now = app.clock.now();
        let blob = app.database.write(|tx| {
            let document = documents::owned(tx, id, caller.uid)?.ok_or_else(document_unknown)?;
            if document.version != version {
                return Err(version_conflict(document.version, document.revision));
            }
            if document.content.is_none() {
                return Ok(None);
            }
            uploads::give_up_all(tx, caller.uid, id)?;
            Ok(documents::delete(tx, document, now)?)
        })?;
        // The name is gone for good before the bytes are.
        if let Some(blob) = blob {
            app.blobs.remove(&blob);
        }
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
