//! Documents: content and description, sealed and signed each, kept by a platform that is not believed.
//!
//! What the platform shows is checked against what was signed: id, version, owner; that the description belongs to the
//! content; that the owner vouches for every reader.

mod blocks;
mod content;
mod description;
mod ends;
mod found;
mod journal;
mod patience;
mod resume;
mod share;
mod unshare;
mod upload;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use life_envelope::Purpose;
use life_pki::Uid;
use life_proto::v1;

pub use description::{Description, Wanted};
pub use journal::sweep as sweep_uploads;
use patience::Patience;
pub use upload::Put;

use super::open::{OpenOptions, Stored, open};
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::names;
use crate::platform::Record;

/// The documents that one user has on the platform.
pub struct Documents<'a> {
    /// The user.
    pub identity: &'a Identity,
    /// Where ciphertext waits.
    pub spool: &'a Path,
    /// Where the journals of uploads are.
    pub uploads: &'a Path,
    /// How long to go on without progress while the platform does not answer.
    pub patience: Duration,
}

/// A document whose description was verified.
pub struct Current {
    /// What the platform says.
    pub record: Record,
    /// What its owner says.
    pub description: Description,
    /// Who signed that.
    pub signature: v1::SignatureReport,
    /// Who can open the description.
    pub readers: Vec<v1::Recipient>,
    /// SHA-256 of the value of the content's signature.
    content_signature: [u8; 32],
}

/// What a part of a document must be.
fn stored(record: &Record, signature: Option<[u8; 32]>) -> Stored {
    Stored { owner: record.owner, id: record.id, version: record.version, signature }
}

/// How a part of a document is opened.
fn options(record: &Record, receipt: Option<Bytes>, signature: Option<[u8; 32]>) -> OpenOptions {
    let stored = Some(stored(record, signature));
    OpenOptions { purpose: Purpose::Document, accept_unsigned: false, receipt, stored }
}

/// Users as the platform names them.
fn named<'a>(users: impl IntoIterator<Item = &'a Uid>) -> Vec<String> {
    users.into_iter().map(Uid::to_string).collect()
}

/// Refuses another version than a caller named.
fn expect(record: &Record, version: Option<u64>) -> Result<()> {
    if version.is_none_or(|version| version == record.version) { Ok(()) } else { Err(conflict(record)) }
}

/// How often a change begins anew when the document was changed meanwhile.
const ATTEMPTS: usize = 3;

/// Does something to a document as it is, and again as it is by then if it was changed meanwhile. A version that is not
/// the one a caller named is found out each time, at the beginning.
async fn unless_changed<T, F>(attempt: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(error) if error.fault() == Fault::VersionConflict => {}
            done => return done,
        }
    }
    attempt().await
}

/// The document is of another version.
fn conflict(record: &Record) -> Error {
    Fault::VersionConflict.with("current_version", record.version.to_string())
}

impl Current {
    /// Who may read it besides its owner.
    fn users(&self) -> Result<BTreeSet<Uid>> {
        let users = self.readers.iter().map(|it| names::parse_user("reader", &it.user));
        let mut users: BTreeSet<_> = users.collect::<Result<_>>().map_err(Error::internal)?;
        users.remove(&self.record.owner);
        Ok(users)
    }
}

impl Documents<'_> {
    fn patience(&self) -> Patience {
        Patience::new(self.patience)
    }

    /// A document as the platform shows it now; its owner sees one that was deleted.
    ///
    /// # Errors
    /// DOCUMENT_NOT_FOUND, DOCUMENT_MISMATCH.
    pub async fn record(&self, id: &[u8; 16]) -> Result<Record> {
        self.identity.client.document(id).await
    }

    /// A document with its description, verified.
    ///
    /// # Errors
    /// DOCUMENT_NOT_FOUND, and as [`Documents::open`].
    pub async fn current(&self, id: &[u8; 16]) -> Result<Current> {
        let record = self.record(id).await?;
        if record.deleted {
            return Err(Fault::DocumentNotFound.because("it was deleted"));
        }
        self.open(record).await
    }

    /// The same, for who owns it.
    ///
    /// # Errors
    /// NOT_THE_OWNER; VERSION_CONFLICT when it is of another version than the one given.
    async fn own(&self, id: &[u8; 16], version: Option<u64>) -> Result<Current> {
        let current = self.current(id).await?;
        self.check_owner(&current.record)?;
        expect(&current.record, version)?;
        Ok(current)
    }

    fn check_owner(&self, record: &Record) -> Result<()> {
        if record.owner == self.identity.uid { Ok(()) } else { Err(Fault::NotTheOwner.into()) }
    }

    /// Opens and verifies a document's description.
    ///
    /// # Errors
    /// As `Crypto.Decrypt`; DOCUMENT_MISMATCH, FORMAT_INVALID.
    pub async fn open(&self, record: Record) -> Result<Current> {
        let options = options(&record, None, None);
        let opened = open(self.identity, record.metadata.clone(), &options).await?;
        let (description, content_signature) = description::parse(&opened.content, &record.id)?;
        let (signature, readers) = (opened.signature, opened.recipients);
        Ok(Current { record, description, signature, readers, content_signature })
    }

    /// Deletes a document.
    ///
    /// # Errors
    /// DOCUMENT_NOT_FOUND, NOT_THE_OWNER, VERSION_CONFLICT.
    pub async fn delete(&self, id: &[u8; 16], version: Option<u64>) -> Result<()> {
        let record = self.record(id).await?;
        self.check_owner(&record)?;
        if record.deleted {
            return Ok(());
        }
        expect(&record, version)?;
        let version = Some(record.version);
        self.patience().persist(|| self.identity.client.delete_document(id, version)).await
    }
}
