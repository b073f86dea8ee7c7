//! Documents on the platform: records, sealed content by ranges, uploads in pieces.
//!
//! Nothing of what it answers is verified here but its form.

use std::ops::Range;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, IF_MATCH, RANGE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use life_pki::{Timestamp, Uid};
use serde::{Deserialize, Serialize};

use super::http::{Client, body_of, whole};
use super::inbox::{query, time};
use super::refusal::{is_not_found, unreadable};
use super::rest::Base64;
use crate::error::{Error, Fault, Result};
use crate::names;

/// The longest envelope with a description.
const METADATA_LIMIT: usize = 512 * 1024;

/// What the platform says of a document.
pub struct Record {
    /// Its id.
    pub id: [u8; 16],
    /// Its version.
    pub version: u64,
    /// How often this version was shared.
    pub revision: u64,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Its owner.
    pub owner: Uid,
    /// Bytes of the sealed stream.
    pub size: u64,
    /// When its first version came.
    pub created: Timestamp,
    /// When it changed last.
    pub updated: Timestamp,
    /// The sealed description; empty once deleted.
    pub metadata: Bytes,
    /// The receipt over the content's signature.
    pub receipt: Option<Bytes>,
}

impl Record {
    /// The entity tag of what the record shows.
    fn etag(&self) -> String {
        format!("\"{}-{}\"", self.version, self.revision)
    }
}

#[derive(Deserialize)]
struct WireRecord {
    document_id: String,
    version: u64,
    #[serde(default)]
    revision: u64,
    status: String,
    owner: String,
    #[serde(default)]
    size: u64,
    create_time: String,
    update_time: String,
    #[serde(default)]
    metadata: Option<Base64>,
    #[serde(default)]
    receipt: Option<Base64>,
}

impl TryFrom<WireRecord> for Record {
    type Error = Error;

    fn try_from(wire: WireRecord) -> Result<Self> {
        let metadata = wire.metadata.unwrap_or_default().0;
        let deleted = match wire.status.as_str() {
            "CURRENT" => false,
            "DELETED" => true,
            _ => return Err(unreadable()),
        };
        if wire.version == 0 || metadata.len() > METADATA_LIMIT {
            return Err(unreadable());
        }
        Ok(Self {
            // It goes into paths, and a person sees it.
            id: names::parse_uuid("document_id", &wire.document_id).map_err(|_| unreadable())?,
            version: wire.version,
            revision: wire.revision,
            deleted,
            owner: wire.owner.parse().map_err(|_| unreadable())?,
            size: wire.size,
            created: time(&wire.create_time)?,
            updated: time(&wire.update_time)?,
            metadata: metadata.into(),
            receipt: wire.receipt.map(|receipt| receipt.0.into()).filter(|it: &Bytes| !it.is_empty()),
        })
    }
}

/// A page of documents.
pub struct Records {
    /// Those of the page.
    pub documents: Vec<Record>,
    /// Where to go on.
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct WireRecords {
    documents: Vec<WireRecord>,
    #[serde(default)]
    next: Option<String>,
}

/// A version on its way to the platform.
#[derive(Clone)]
pub struct Upload {
    document: [u8; 16],
    id: String,
}

#[derive(Deserialize)]
struct WireUpload {
    upload_id: String,
    offset: u64,
}

#[derive(Serialize)]
struct Begin<'a> {
    version: u64,
    upload_id: &'a str,
}

/// What makes an upload a version.
#[derive(Serialize)]
pub struct DocumentCommit {
    /// The sealed description.
    pub metadata: Base64,
    /// SHA-256 of the content's signature value.
    pub signature_digest: Base64,
    /// Who may read it besides the owner.
    pub readers: Vec<String>,
    /// The revision of the version before whose readers are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaces_revision: Option<u64>,
}

/// What adds readers.
#[derive(Serialize)]
pub struct Sharing {
    /// The version that is shared.
    pub version: u64,
    /// Its revision before.
    pub revision: u64,
    /// The start of the stream, with the 40 bytes before the first segment.
    pub header: Base64,
    /// The sealed description.
    pub metadata: Base64,
    /// Who may read it now too.
    pub readers: Vec<String>,
}

fn path(id: &[u8; 16]) -> String {
    format!("/v1/documents/{}", names::uuid(id))
}

impl Upload {
    /// The upload of a document with this id.
    pub fn new(document: &[u8; 16], id: &[u8; 16]) -> Self {
        Self { document: *document, id: hex::encode(id) }
    }

    fn path(&self) -> String {
        format!("{}/uploads/{}", path(&self.document), self.id)
    }

    /// How much of it the platform has.
    fn offset(&self, wire: &WireUpload) -> Result<u64> {
        if wire.upload_id == self.id { Ok(wire.offset) } else { Err(unreadable()) }
    }
}

fn missing(error: Error) -> Error {
    if is_not_found(&error) { Fault::DocumentNotFound.into() } else { error }
}

/// A record of the document that was asked for.
fn of(id: &[u8; 16], wire: WireRecord) -> Result<Record> {
    let record = Record::try_from(wire)?;
    if record.id == *id { Ok(record) } else { Err(Fault::DocumentMismatch.into()) }
}

fn json(request: &impl Serialize) -> Result<Bytes> {
    serde_json::to_vec(request).map(Bytes::from).map_err(Error::internal)
}

impl Client {
    /// A page of the documents that the user owns or may read.
    pub async fn documents(&self, limit: u32, after: &str) -> Result<Records> {
        let page: WireRecords = self.get(&format!("/v1/documents?limit={limit}{}", query(after))).await?;
        let documents = page.documents.into_iter().map(Record::try_from).collect::<Result<Vec<_>>>()?;
        Ok(Records { documents, next: page.next })
    }

    /// A document as it is now.
    ///
    /// # Errors
    /// DOCUMENT_NOT_FOUND; DOCUMENT_MISMATCH for an answer about another one.
    pub async fn document(&self, id: &[u8; 16]) -> Result<Record> {
        of(id, self.get(&path(id)).await.map_err(missing)?)
    }

    /// A part of the sealed content of what a record shows, from an offset to its end or to another one.
    ///
    /// # Errors
    /// DOCUMENT_NOT_FOUND; VERSION_CONFLICT when the document has changed since.
    pub async fn document_content(
        &self,
        record: &Record,
        start: u64,
        end: Option<u64>,
    ) -> Result<Response<Incoming>> {
        let mut headers = HeaderMap::new();
        let value = |text: String| HeaderValue::from_str(&text).map_err(Error::internal);
        headers.insert(IF_MATCH, value(record.etag())?);
        if start > 0 || end.is_some() {
            let end = end.map(|end| end.saturating_sub(1).to_string()).unwrap_or_default();
            headers.insert(RANGE, value(format!("bytes={start}-{end}"))?);
        }
        let path = format!("{}/content", path(&record.id));
        let partial = headers.contains_key(RANGE);
        let answer = self.send(Method::GET, &path, headers, body_of(Bytes::new())).await;
        let answer = answer.map_err(|error| match error.metadata("platform_status") {
            Some("412") => Fault::VersionConflict.because("it changed while it was fetched"),
            _ => missing(error),
        })?;
        // A server that does not know ranges would begin from the start.
        let at = answer.headers().get(CONTENT_RANGE).and_then(|it| it.to_str().ok()).map(range_start);
        match (partial, answer.status(), at) {
            (true, StatusCode::PARTIAL_CONTENT, Some(Some(at))) if at == start => Ok(answer),
            (false, StatusCode::OK, _) => Ok(answer),
            _ => Err(unreadable()),
        }
    }

    /// A part of the sealed content, whole.
    pub async fn document_part(&self, record: &Record, part: Range<u64>) -> Result<Bytes> {
        let answer = self.document_content(record, part.start, Some(part.end)).await?;
        let bytes = whole(answer.into_body()).await?;
        if bytes.len() as u64 > part.end.saturating_sub(part.start) { Err(unreadable()) } else { Ok(bytes) }
    }

    /// Begins to upload a version, under a random id of its own: what is sealed under one key is mixed with nothing else.
    ///
    /// # Errors
    /// VERSION_CONFLICT, DOCUMENTS_FULL.
    pub async fn begin_upload(&self, document: &[u8; 16], version: u64, id: &[u8; 16]) -> Result<Upload> {
        let upload = Upload::new(document, id);
        let body = json(&Begin { version, upload_id: &upload.id })?;
        let path = format!("{}/uploads", path(document));
        let wire = self.send_json(Method::POST, &path, HeaderMap::new(), body).await.map_err(missing)?;
        match upload.offset(&wire)? {
            0 => Ok(upload),
            _ => Err(Fault::PlatformUntrusted.because("it says that a fresh upload has content")),
        }
    }

    /// How much of an upload the platform has.
    pub async fn upload_offset(&self, upload: &Upload) -> Result<u64> {
        let wire = self.get(&upload.path()).await.map_err(replaced)?;
        upload.offset(&wire)
    }

    /// Appends to an upload. Gives how much of it the platform has now: part of the bytes may have come.
    pub async fn append(&self, upload: &Upload, offset: u64, bytes: Bytes) -> Result<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert("upload-offset", HeaderValue::from(offset));
        let answer = self.send(Method::PATCH, &upload.path(), headers, body_of(bytes)).await;
        match answer {
            Err(error) if error.metadata("platform_reason") == Some("UPLOAD_OFFSET_MISMATCH") => {
                error.metadata("upload_offset").and_then(|it| it.parse().ok()).ok_or_else(unreadable)
            }
            Err(error) => Err(replaced(error)),
            Ok(answer) => {
                let bytes = whole(answer.into_body()).await?;
                let wire = serde_json::from_slice(&bytes).map_err(|_| unreadable())?;
                upload.offset(&wire)
            }
        }
    }

    /// Gives an upload up.
    pub async fn give_up(&self, upload: &Upload) -> Result<()> {
        self.send(Method::DELETE, &upload.path(), HeaderMap::new(), body_of(Bytes::new())).await.map(drop)
    }

    /// Makes an upload the document's current version.
    ///
    /// # Errors
    /// VERSION_CONFLICT.
    pub async fn commit(&self, upload: &Upload, commit: &DocumentCommit) -> Result<Record> {
        let path = format!("{}/commit", upload.path());
        let wire = self.send_json(Method::POST, &path, HeaderMap::new(), json(commit)?).await;
        of(&upload.document, wire.map_err(replaced)?)
    }

    /// Adds readers to a version.
    ///
    /// # Errors
    /// VERSION_CONFLICT when version or revision are others by now.
    pub async fn share_document(&self, id: &[u8; 16], sharing: &Sharing) -> Result<Record> {
        let path = format!("{}/sharing", path(id));
        let wire = self.send_json(Method::POST, &path, HeaderMap::new(), json(sharing)?).await;
        of(id, wire.map_err(missing)?)
    }

    /// Deletes a document that is of this version, if one is given.
    ///
    /// # Errors
    /// DOCUMENT_NOT_FOUND, VERSION_CONFLICT.
    pub async fn delete_document(&self, id: &[u8; 16], version: Option<u64>) -> Result<()> {
        let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
        let path = format!("{}{query}", path(id));
        let answer = self.send(Method::DELETE, &path, HeaderMap::new(), body_of(Bytes::new())).await;
        answer.map(drop).map_err(missing)
    }
}

/// An upload that is gone: another of the same version took its place, or came first.
fn replaced(error: Error) -> Error {
    if is_not_found(&error) {
        return Fault::VersionConflict.because("another upload of the same version took its place");
    }
    error
}

/// Where a `content-range` begins: `bytes 5-9/10`.
fn range_start(text: &str) -> Option<u64> {
    text.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn record(change: impl FnOnce(&mut serde_json::Value)) -> Result<Record> {
        let mut json = serde_json::json!({
            "document_id": "123e4567-e89b-42d3-a456-426614174000", "version": 3, "revision": 2, "status": "CURRENT",
            "owner": "00000000-0000-4000-8000-000000000001", "size": 5, "create_time": "2026-01-02T03:04:05Z",
            "update_time": "2026-01-02T03:04:05Z", "metadata": "AQID", "receipt": "", "readers": [],
        });
        change(&mut json);
        let wire: WireRecord = serde_json::from_value(json).map_err(|_| unreadable())?;
        Record::try_from(wire)
    }

    #[test]
    fn a_record_is_read_strictly() {
        let good = record(|_| {}).unwrap();
        assert_eq!(
            (good.etag().as_str(), &good.metadata[..], good.receipt),
            ("\"3-2\"", &[1, 2, 3][..], None)
        );
        let deleted = record(|it| {
            it["status"] = "DELETED".into();
            it.as_object_mut().unwrap().remove("metadata");
        });
        assert!(deleted.is_ok_and(|it| it.deleted && it.metadata.is_empty()));
        for (field, value) in [
            ("document_id", "../../v1/me".into()),
            ("version", 0.into()),
            ("version", (-1).into()),
            ("status", "current".into()),
            ("owner", "users/x".into()),
            ("metadata", "*".into()),
            ("metadata", STANDARD.encode(vec![0; METADATA_LIMIT + 1]).into()),
            ("create_time", "yesterday".into()),
        ] {
            let value: serde_json::Value = value;
            assert!(record(|it| it[field] = value.clone()).is_err(), "{field} {value}");
        }
    }

    #[test]
    fn ranges_and_uploads_are_those_that_were_asked_for() {
        assert_eq!(range_start("bytes 5-9/10"), Some(5));
        assert_eq!(range_start("bytes */10"), None);
        let upload = Upload { document: [1; 16], id: "ab".repeat(16) };
        let offset = |upload_id: String| upload.offset(&WireUpload { upload_id, offset: 7 });
        assert_eq!(offset("ab".repeat(16)).unwrap(), 7);
        assert!(offset("AB".repeat(16)).is_err());
    }
}
