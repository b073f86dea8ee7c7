//! Documents: who owns them, who may read them, and where their content lies.
//!
//! The beginning of a document's sealed stream, up to and with Tink's header, stands in the database; what follows lies
//! in a file and never changes. So sharing, which only adds recipients, replaces the one and leaves the other.

use std::collections::BTreeSet;
use std::fmt;

use life_pki::{Timestamp, Uid};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::messages::doom;
use crate::error::Error;

/// How long a deleted document's id counts against its owner's quota; it stays taken for good.
const COUNTED_SECONDS: u32 = 30 * 86_400;

/// The id of a document: a random (version 4) UUID that its owner chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DocumentId(Uid);

impl DocumentId {
    /// Reads the one spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    pub(super) fn from_bytes(bytes: [u8; 16]) -> Result<Self, Error> {
        Uid::from_bytes(bytes).map(Self).map_err(|_| Error::Stored("a document id"))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// One document, with its present version.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its id.
    pub id: DocumentId,
    /// Who made it; the only one who changes it.
    pub owner: Uid,
    /// Its version, from 1.
    pub version: u64,
    /// How often this version was shared.
    pub revision: u64,
    /// When the first version was committed.
    pub created: Timestamp,
    /// When it was last committed, shared or deleted.
    pub updated: Timestamp,
    /// What it takes up in all.
    pub stored: u64,
    /// Where its content is; nothing once it was deleted.
    pub content: Option<Content>,
    /// Bytes of the sealed stream.
    pub size: u64,
    /// The upload the version came by.
    pub upload: Option<UploadId>,
    /// Digest of what the commit said.
    pub committed: Option<[u8; 32]>,
    /// Digest of what the last sharing of this version said.
    pub shared: Option<[u8; 32]>,
    /// The receipt over the content's signature.
    pub receipt: Option<Vec<u8>>,
    /// The envelope with the metadata.
    pub metadata: Option<Vec<u8>>,
}

/// The file of a document's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The file below `blobs/`.
    pub blob: String,
    /// Its size.
    pub file_size: u64,
    /// So many bytes at its beginning are what the header in the database stands for.
    pub skip: u64,
}

/// The id of an upload, chosen by the client.
pub type UploadId = [u8; 16];

const COLUMNS: &str = "document.id, document.owner, version, revision, created, updated, stored, blob, file_size, \
                       skip, size, upload, committed, shared, receipt, metadata";

/// Where a document stands, without what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Who made it.
    pub owner: Uid,
    /// Its version.
    pub version: u64,
    /// How often this version was shared.
    pub revision: u64,
    /// Whether it was deleted.
    pub deleted: bool,
}

/// Where a document stands, whoever asks. Takes as long for a large one as for a small one.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn standing(connection: &Connection, id: DocumentId) -> Result<Option<Standing>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT owner, version, revision, deleted IS NOT NULL FROM document WHERE id = ?")?;
    let mut rows = statement.query([id.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Standing {
        owner: uid(row, 0)?,
        version: row.get(1)?,
        revision: row.get(2)?,
        deleted: row.get(3)?,
    }))
}

/// Finds a user's own document, deleted or not.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn owned(connection: &Connection, id: DocumentId, owner: Uid) -> Result<Option<Document>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM document WHERE id = ? AND owner = ?");
    one(connection, &sql, id, owner)
}

/// Finds a document that this user may read: as its reader, or as its owner, who also sees that it was deleted. What is
/// not for this user is not looked at, so that the time it takes does not tell how large it is.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn readable(connection: &Connection, id: DocumentId, uid: Uid) -> Result<Option<Document>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM document WHERE id = ?1 AND
         (owner = ?2 OR EXISTS (SELECT 1 FROM document_access WHERE document = ?1 AND uid = ?2))"
    );
    one(connection, &sql, id, uid)
}

fn one(connection: &Connection, sql: &str, id: DocumentId, uid: Uid) -> Result<Option<Document>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![id.as_bytes(), uid.as_bytes()])?;
    rows.next()?.map(from_row).transpose()
}

pub(super) const READERS: &str = "SELECT uid FROM document_access WHERE document = ? AND uid <> owner";

/// The readers of a document, its owner not among them.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn readers(connection: &Connection, id: DocumentId) -> Result<BTreeSet<Uid>, Error> {
    let mut statement = connection.prepare_cached(READERS)?;
    let mut rows = statement.query([id.as_bytes()])?;
    let mut readers = BTreeSet::new();
    while let Some(row) = rows.next()? {
        readers.insert(uid(row, 0)?);
    }
    Ok(readers)
}

/// One place of a user's list.
#[derive(Debug)]
pub struct Listed {
    /// The place.
    pub sequence: i64,
    /// What stands there.
    pub document: Document,
}

/// What a user owns or may read, in the order in which it came to them, after a place; at most `limit` documents, and
/// no more once their metadata has `budget` bytes. Says as well whether there are more.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn list(
    connection: &Connection,
    uid: Uid,
    after: i64,
    limit: usize,
    budget: usize,
) -> Result<(Vec<Listed>, bool), Error> {
    let mut statement = connection.prepare_cached(&list_sql())?;
    let mut rows = statement.query(params![uid.as_bytes(), after])?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if found.len() >= limit || bytes >= budget {
            return Ok((found, true));
        }
        let document = from_row(row)?;
        bytes += document.metadata.as_ref().map_or(0, Vec::len);
        found.push(Listed { sequence: row.get(16)?, document });
    }
    Ok((found, false))
}

pub(super) fn list_sql() -> String {
    format!(
        "SELECT {COLUMNS}, sequence FROM document_access JOIN document ON document.id = document
         WHERE uid = ? AND sequence > ? ORDER BY sequence"
    )
}

/// Stores a new document or a new state of one.
///
/// # Errors
/// [`Error::Database`].
pub fn put(tx: &Connection, document: &Document) -> Result<(), Error> {
    let content = document.content.as_ref();
    tx.prepare_cached(
        "INSERT INTO document (id, owner, version, revision, created, updated, stored, blob, file_size, skip, size,
             upload, committed, shared, receipt, metadata)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (id) DO UPDATE SET version = ?3, revision = ?4, updated = ?6, stored = ?7, blob = ?8,
             file_size = ?9, skip = ?10, size = ?11, upload = ?12, committed = ?13, shared = ?14, receipt = ?15,
             metadata = ?16",
    )?
    .execute(params![
        document.id.as_bytes(),
        document.owner.as_bytes(),
        document.version,
        document.revision,
        document.created.unix(),
        document.updated.unix(),
        document.stored,
        content.map(|content| &content.blob),
        content.map_or(0, |content| content.file_size),
        content.map_or(0, |content| content.skip),
        document.size,
        document.upload,
        document.committed,
        document.shared,
        document.receipt,
        document.metadata
    ])?;
    Ok(())
}

/// Stores the beginning of a document's sealed stream.
///
/// # Errors
/// [`Error::Database`].
pub fn put_header(tx: &Connection, id: DocumentId, bytes: &[u8]) -> Result<(), Error> {
    tx.prepare_cached("INSERT OR REPLACE INTO document_header VALUES (?, ?)")?
        .execute(params![id.as_bytes(), bytes])?;
    Ok(())
}

/// The beginning of a document's sealed stream.
///
/// # Errors
/// [`Error::Database`]; [`Error::Stored`] when there is none.
pub fn header(connection: &Connection, id: DocumentId) -> Result<Vec<u8>, Error> {
    connection
        .prepare_cached("SELECT bytes FROM document_header WHERE document = ?")?
        .query_row([id.as_bytes()], |row| row.get(0))
        .optional()?
        .ok_or(Error::Stored("a document without its header"))
}

/// Makes these users, and the owner, the ones who may read a document.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn set_readers(tx: &Connection, document: &Document, wanted: &BTreeSet<Uid>) -> Result<(), Error> {
    let present = readers(tx, document.id)?;
    for uid in present.difference(wanted) {
        tx.prepare_cached("DELETE FROM document_access WHERE document = ? AND uid = ?")?
            .execute(params![document.id.as_bytes(), uid.as_bytes()])?;
    }
    admit(tx, document, document.owner)?;
    wanted.difference(&present).try_for_each(|uid| admit(tx, document, *uid))
}

/// Lets a user read a document, as the newest of the user's list; nothing changes for one who may already.
fn admit(tx: &Connection, document: &Document, uid: Uid) -> Result<(), Error> {
    let known = tx
        .prepare_cached("SELECT 1 FROM document_access WHERE document = ? AND uid = ?")?
        .exists(params![document.id.as_bytes(), uid.as_bytes()])?;
    if known {
        return Ok(());
    }
    let sequence: i64 = tx
        .prepare_cached(
            "INSERT INTO document_usage (uid, sequence) VALUES (?, 1)
             ON CONFLICT (uid) DO UPDATE SET sequence = sequence + 1 RETURNING sequence",
        )?
        .query_row([uid.as_bytes()], |row| row.get(0))?;
    tx.prepare_cached("INSERT INTO document_access (uid, sequence, document, owner) VALUES (?, ?, ?, ?)")?
        .execute(params![uid.as_bytes(), sequence, document.id.as_bytes(), document.owner.as_bytes()])?;
    Ok(())
}

/// Deletes a document for everybody: its content is to be removed, its id stays taken. Returns the file.
///
/// # Errors
/// [`Error::Database`].
pub fn delete(tx: &Connection, mut document: Document, now: Timestamp) -> Result<Option<String>, Error> {
    let id = document.id;
    let content = document.content.take();
    if let Some(content) = &content {
        doom(tx, &content.blob)?;
    }
    tx.execute("DELETE FROM document_access WHERE document = ?", [id.as_bytes()])?;
    tx.execute("DELETE FROM document_header WHERE document = ?", [id.as_bytes()])?;
    put(
        tx,
        &Document {
            updated: now,
            stored: 0,
            size: 0,
            upload: None,
            committed: None,
            shared: None,
            receipt: None,
            metadata: None,
            ..document
        },
    )?;
    tx.execute("UPDATE document SET deleted = ? WHERE id = ?", params![now.unix(), id.as_bytes()])?;
    Ok(content.map(|content| content.blob))
}

pub(super) const SWEEP: &str = "UPDATE document SET counted = 0 WHERE deleted <= ? AND counted = 1";

/// Ends the counting of ids that were deleted long ago.
///
/// # Errors
/// [`Error::Database`].
pub fn sweep(tx: &Connection, now: Timestamp) -> Result<usize, Error> {
    Ok(tx.execute(SWEEP, [now.minus(COUNTED_SECONDS).unix()])?)
}

fn uid(row: &Row<'_>, index: usize) -> Result<Uid, Error> {
    Uid::from_bytes(row.get(index)?).map_err(|_| Error::Stored("a user id"))
}

fn from_row(row: &Row<'_>) -> Result<Document, Error> {
    let time = |index| Timestamp::from_unix(row.get(index)?).map_err(|_| Error::Stored("a time"));
    let blob: Option<String> = row.get(7)?;
    let (file_size, skip) = (row.get(8)?, row.get(9)?);
    Ok(Document {
        id: DocumentId::from_bytes(row.get(0)?)?,
        owner: uid(row, 1)?,
        version: row.get(2)?,
        revision: row.get(3)?,
        created: time(4)?,
        updated: time(5)?,
        stored: row.get(6)?,
        content: blob.map(|blob| Content { blob, file_size, skip }),
        size: row.get(10)?,
        upload: row.get(11)?,
        committed: row.get(12)?,
        shared: row.get(13)?,
        receipt: row.get(14)?,
        metadata: row.get(15)?,
    })
}

#[cfg(test)]
mod tests;
