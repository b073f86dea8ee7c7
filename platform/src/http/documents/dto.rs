//! The JSON bodies of documents and uploads.

use serde::{Deserialize, Serialize};

use crate::encoding::Base64;

/// Body of `POST /v1/documents/{document_id}/uploads`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginUpload {
    /// The version the content is to become: one more than the present one.
    pub version: u64,
    /// A random id of the client's choice, 32 hexadecimal digits.
    pub upload_id: String,
}

/// Answer to the requests of uploads
#[derive(Clone, Debug, Serialize)]
pub struct UploadInfo {
    /// The id the client chose.
    pub upload_id: String,
    /// The document.
    pub document_id: String,
    /// The version it is to become.
    pub version: u64,
    /// Bytes that are there for sure.
    pub offset: u64,
    /// When it is given up unless more arrives, RFC 3339.
    pub expire_time: String,
}

/// Body of `POST /v1/documents/{document_id}/uploads/{upload_id}/commit`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitDocument {
    /// The envelope with the metadata.
    pub metadata: Base64,
    /// SHA-256 of the content's signature value.
    pub signature_digest: Base64,
    /// Everybody but the owner who may read it.
    pub readers: Vec<String>,
    /// The revision of the version before, where this one keeps its readers: if it was shared since, nothing happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces_revision: Option<u64>,
}

/// Body of `POST /v1/documents/{document_id}/sharing`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareDocument {
    /// The present version.
    pub version: u64,
    /// The present revision.
    pub revision: u64,
    /// The new beginning of the sealed stream, up to and with Tink's header.
    pub header: Base64,
    /// The envelope with the metadata, with the same recipients.
    pub metadata: Base64,
    /// Who may read it from now on, too.
    pub readers: Vec<String>,
}

/// One document
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The id its owner chose.
    pub document_id: String,
    /// Its version, from 1.
    pub version: u64,
    /// How often this version was shared.
    pub revision: u64,
    /// `CURRENT` or `DELETED`.
    pub status: &'static str,
    /// Who made it.
    pub owner: String,
    /// Bytes of the sealed stream.
    pub size: u64,
    /// When the first version was committed, RFC 3339.
    pub create_time: String,
    /// When it was last committed, shared or deleted, RFC 3339.
    pub update_time: String,
    /// The envelope with the metadata.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Base64>,
    /// The receipt over the content's signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Base64>,
    /// Its readers, for the owner; for a reader only the reader.
    pub readers: Vec<String>,
}

/// Answer to `GET /v1/documents`
#[derive(Clone, Debug, Serialize)]
pub struct Documents {
    /// In the order in which they came to the caller.
    pub documents: Vec<Record>,
    /// What to pass as `after` for the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
