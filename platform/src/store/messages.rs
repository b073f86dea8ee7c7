//! Inboxes: what was deposited, by whom, and in which file it lies.

use life_pki::{Timestamp, Uid};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::pending::Pending;
use crate::error::Error;

/// How long a deleted message's id stays taken, so that a late retry of its deposit does not bring it back.
const TOMBSTONE_SECONDS: u32 = 30 * 86_400;

/// One message of an inbox.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its place in the order of arrival.
    pub sequence: i64,
    /// The id the depositor chose.
    pub id: String,
    /// Who deposited it.
    pub depositor: Uid,
    /// The file below `blobs/`; nothing once the owner deleted it.
    pub blob: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// When it became visible.
    pub deposited: Timestamp,
    /// The receipt over its signature, when the depositor asked for one.
    pub receipt: Option<Vec<u8>>,
    /// The signature digest of that receipt.
    pub receipt_digest: Option<[u8; 32]>,
}

const COLUMNS: &str = "sequence, id, depositor, blob, size, sha256, deposited, receipt, receipt_digest";

/// Stores a message that is visible from now on.
///
/// # Errors
/// [`Error::Database`], also when the id is taken.
pub(super) fn insert(tx: &Connection, message: &Pending, now: Timestamp) -> Result<(), Error> {
    tx.prepare_cached(
        "INSERT INTO message (owner, id, depositor, blob, size, sha256, deposited) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        message.owner.as_bytes(),
        message.id,
        message.depositor.as_bytes(),
        message.blob,
        message.size,
        message.sha256,
        now.unix()
    ])?;
    Ok(())
}

/// Finds a message by its id, deleted or not.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn find(connection: &Connection, owner: Uid, id: &str) -> Result<Option<Message>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM message WHERE owner = ? AND id = ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![owner.as_bytes(), id])?;
    rows.next()?.map(from_row).transpose()
}

/// A page of an inbox in the order of arrival, after a sequence number.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn list(connection: &Connection, owner: Uid, after: i64, limit: u32) -> Result<Vec<Message>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM message WHERE owner = ? AND sequence > ? AND blob IS NOT NULL
         ORDER BY sequence LIMIT ?"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![owner.as_bytes(), after, limit])?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next()? {
        messages.push(from_row(row)?);
    }
    Ok(messages)
}

/// Deletes a message and returns the file to be removed; nothing when it was deleted before.
///
/// # Errors
/// [`Error::Database`].
pub fn delete(tx: &Connection, owner: Uid, id: &str, now: Timestamp) -> Result<Option<String>, Error> {
    let blob: Option<Option<String>> = tx
        .query_row(
            "SELECT blob FROM message WHERE owner = ? AND id = ?",
            params![owner.as_bytes(), id],
            |row| row.get(0),
        )
        .optional()?;
    tx.execute(
        "UPDATE message SET blob = NULL, receipt = NULL, receipt_digest = NULL, deleted = ?
         WHERE owner = ? AND id = ? AND blob IS NOT NULL",
        params![now.unix(), owner.as_bytes(), id],
    )?;
    let blob = blob.flatten();
    if let Some(blob) = &blob {
        doom(tx, blob)?;
    }
    Ok(blob)
}

/// Remembers that a file is to be removed: should that fail, or the process end before, it is done later.
///
/// # Errors
/// [`Error::Database`].
pub fn doom(tx: &Connection, blob: &str) -> Result<(), Error> {
    tx.execute("INSERT OR IGNORE INTO doomed VALUES (?)", [blob])?;
    Ok(())
}

/// The files that are to be removed.
///
/// # Errors
/// [`Error::Database`].
pub fn doomed(connection: &Connection) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare_cached("SELECT blob FROM doomed")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Forgets a file that is gone.
///
/// # Errors
/// [`Error::Database`].
pub fn gone(tx: &Connection, blob: &str) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM doomed WHERE blob = ?")?.execute([blob])?;
    Ok(())
}

/// Keeps a receipt with its message.
///
/// # Errors
/// [`Error::Database`].
pub fn set_receipt(
    tx: &Connection,
    owner: Uid,
    id: &str,
    digest: &[u8; 32],
    receipt: &[u8],
) -> Result<(), Error> {
    tx.execute(
        "UPDATE message SET receipt = ?, receipt_digest = ? WHERE owner = ? AND id = ?",
        params![receipt, digest, owner.as_bytes(), id],
    )?;
    Ok(())
}

/// Whether a file belongs to a message, a document or an upload.
///
/// # Errors
/// [`Error::Database`].
pub fn has_blob(connection: &Connection, blob: &str) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM message WHERE blob = ?1 UNION ALL SELECT 1 FROM pending WHERE blob = ?1
               UNION ALL SELECT 1 FROM document WHERE blob = ?1
               UNION ALL SELECT 1 FROM document_upload WHERE blob = ?1";
    Ok(connection.prepare_cached(sql)?.exists([blob])?)
}

pub(super) const SWEEP: &str = "DELETE FROM message WHERE deleted <= ?";

/// Forgets ids of messages that were deleted long ago. Returns how many.
///
/// # Errors
/// [`Error::Database`].
pub fn sweep(tx: &Connection, now: Timestamp) -> Result<usize, Error> {
    Ok(tx.execute(SWEEP, [now.minus(TOMBSTONE_SECONDS).unix()])?)
}

fn from_row(row: &Row<'_>) -> Result<Message, Error> {
    Ok(Message {
        sequence: row.get(0)?,
        id: row.get(1)?,
        depositor: Uid::from_bytes(row.get(2)?).map_err(|_| Error::Stored("a user id"))?,
        blob: row.get(3)?,
        size: row.get(4)?,
        sha256: row.get(5)?,
        deposited: Timestamp::from_unix(row.get(6)?).map_err(|_| Error::Stored("a time"))?,
        receipt: row.get(7)?,
        receipt_digest: row.get(8)?,
    })
}
