//! Uploads: content of a document that arrives in several requests, over hours and restarts.
//!
//! What counts is the number of bytes in the database. It grows once the bytes are synced, so whatever was acknowledged
//! is there; what a file has beyond it was never acknowledged and is cut off before more is appended.

use life_pki::{Timestamp, Uid};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::documents::{DocumentId, UploadId};
use super::messages::doom;
use crate::error::Error;

/// Content of one version that is arriving.
#[derive(Clone, Debug)]
pub struct Upload {
    /// Who sends it.
    pub owner: Uid,
    /// The id the client chose.
    pub id: UploadId,
    /// The document.
    pub document: DocumentId,
    /// The version it is to become.
    pub version: u64,
    /// The file below `blobs/`, which is there once something arrived.
    pub blob: String,
    /// Bytes that are there for sure.
    pub received: u64,
    /// When it is given up unless more arrives.
    pub expires: Timestamp,
}

const COLUMNS: &str = "owner, id, document, version, blob, received, expires";

/// Begins an upload.
///
/// # Errors
/// [`Error::Database`], also when the owner has one of this id.
pub fn insert(tx: &Connection, upload: &Upload) -> Result<(), Error> {
    tx.prepare_cached("INSERT INTO document_upload VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(params![
        upload.owner.as_bytes(),
        upload.id,
        upload.document.as_bytes(),
        upload.version,
        upload.blob,
        upload.received,
        upload.expires.unix()
    ])?;
    Ok(())
}

/// Finds an owner's upload that has not expired.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn find(
    connection: &Connection,
    owner: Uid,
    id: UploadId,
    now: Timestamp,
) -> Result<Option<Upload>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM document_upload WHERE owner = ? AND id = ? AND expires > ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![owner.as_bytes(), id, now.unix()])?;
    rows.next()?.map(from_row).transpose()
}

/// Acknowledges bytes that were synced. Returns whether the upload is still there, and not another one of its id.
///
/// # Errors
/// [`Error::Database`].
pub fn advance(tx: &Connection, upload: &Upload) -> Result<bool, Error> {
    let changed = tx
        .prepare_cached("UPDATE document_upload SET received = ?, expires = ? WHERE blob = ?")?
        .execute(params![upload.received, upload.expires.unix(), upload.blob])?;
    Ok(changed == 1)
}

/// Forgets an upload whose file has become a document's.
///
/// # Errors
/// [`Error::Database`].
pub fn complete(tx: &Connection, upload: &Upload) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM document_upload WHERE owner = ? AND id = ?")?
        .execute(params![upload.owner.as_bytes(), upload.id])?;
    Ok(())
}

/// Gives an upload up; its file is to be removed, and is returned.
///
/// # Errors
/// [`Error::Database`].
pub fn give_up(tx: &Connection, owner: Uid, id: UploadId) -> Result<Option<String>, Error> {
    let sql = "DELETE FROM document_upload WHERE owner = ? AND id = ? RETURNING blob";
    let blob: Option<String> =
        tx.prepare_cached(sql)?.query_row(params![owner.as_bytes(), id], |row| row.get(0)).optional()?;
    if let Some(blob) = &blob {
        doom(tx, blob)?;
    }
    Ok(blob)
}

/// Gives up all of an owner's uploads for a document; their files are to be removed.
///
/// # Errors
/// [`Error::Database`].
pub fn give_up_all(tx: &Connection, owner: Uid, document: DocumentId) -> Result<(), Error> {
    give_up_those(tx, owner, document, i64::MAX)
}

/// Gives up those that expire by then, because nothing has come for them for long.
///
/// # Errors
/// [`Error::Database`].
pub fn give_up_quiet(tx: &Connection, owner: Uid, document: DocumentId, by: Timestamp) -> Result<(), Error> {
    give_up_those(tx, owner, document, by.unix())
}

fn give_up_those(tx: &Connection, owner: Uid, document: DocumentId, by: i64) -> Result<(), Error> {
    let ids: Vec<UploadId> = tx
        .prepare_cached("SELECT id FROM document_upload WHERE document = ? AND owner = ? AND expires <= ?")?
        .query_map(params![document.as_bytes(), owner.as_bytes(), by], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    ids.into_iter().try_for_each(|id| give_up(tx, owner, id).map(drop))
}

pub(super) const SWEEP: &str = "SELECT owner, id FROM document_upload WHERE expires <= ?";

/// Gives up what expired.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn sweep(tx: &Connection, now: Timestamp) -> Result<(), Error> {
    let late: Vec<([u8; 16], UploadId)> = tx
        .prepare_cached(SWEEP)?
        .query_map([now.unix()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (owner, id) in late {
        let owner = Uid::from_bytes(owner).map_err(|_| Error::Stored("a user id"))?;
        give_up(tx, owner, id)?;
    }
    Ok(())
}

fn from_row(row: &Row<'_>) -> Result<Upload, Error> {
    Ok(Upload {
        owner: Uid::from_bytes(row.get(0)?).map_err(|_| Error::Stored("a user id"))?,
        id: row.get(1)?,
        document: DocumentId::from_bytes(row.get(2)?)?,
        version: row.get(3)?,
        blob: row.get(4)?,
        received: row.get(5)?,
        expires: Timestamp::from_unix(row.get(6)?).map_err(|_| Error::Stored("a time"))?,
    })
}
