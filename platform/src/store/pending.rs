//! Messages that are complete on disk and invisible until their depositor asks for their receipt.
//!
//! Deposit and receipt are two requests. Were a message visible after the first, a connection that breaks between them
//! would leave one whose signature nothing dates.

use life_pki::{Timestamp, Uid};
use rusqlite::{Connection, Row, params};

use super::messages;
use crate::error::Error;

/// How long a message may stay invisible.
pub const PENDING_SECONDS: u32 = 3600;

/// A message that is complete on disk.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Whose inbox.
    pub owner: Uid,
    /// The id the depositor chose.
    pub id: String,
    /// Who deposits it.
    pub depositor: Uid,
    /// The file below `blobs/`.
    pub blob: String,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// When it was complete.
    pub since: Timestamp,
}

const COLUMNS: &str = "owner, id, depositor, blob, size, sha256, since";

/// Stores a message, in place of an earlier one of the same id; the earlier one's file is to be removed.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn put(tx: &Connection, pending: &Pending) -> Result<(), Error> {
    remove(tx, pending.owner, &pending.id)?;
    tx.prepare_cached("INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(params![
        pending.owner.as_bytes(),
        pending.id,
        pending.depositor.as_bytes(),
        pending.blob,
        pending.size,
        pending.sha256,
        pending.since.unix()
    ])?;
    Ok(())
}

/// Finds a message by its id.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn find(connection: &Connection, owner: Uid, id: &str) -> Result<Option<Pending>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM pending WHERE owner = ? AND id = ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![owner.as_bytes(), id])?;
    rows.next()?.map(from_row).transpose()
}

/// Makes a message visible, as the newest of its inbox.
///
/// # Errors
/// [`Error::Database`].
pub fn publish(tx: &Connection, pending: &Pending, now: Timestamp) -> Result<(), Error> {
    tx.prepare_cached("DELETE FROM pending WHERE owner = ? AND id = ?")?
        .execute(params![pending.owner.as_bytes(), pending.id])?;
    messages::insert(tx, pending, now)
}

/// Forgets what was never made visible.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn sweep(tx: &Connection, now: Timestamp) -> Result<(), Error> {
    let late: Vec<Pending> = {
        let mut statement = tx.prepare_cached(&format!("SELECT {COLUMNS} FROM pending WHERE since <= ?"))?;
        let mut rows = statement.query([now.minus(PENDING_SECONDS).unix()])?;
        let mut late = Vec::new();
        while let Some(row) = rows.next()? {
            late.push(from_row(row)?);
        }
        late
    };
    late.iter().try_for_each(|pending| remove(tx, pending.owner, &pending.id))
}

fn remove(tx: &Connection, owner: Uid, id: &str) -> Result<(), Error> {
    if let Some(earlier) = find(tx, owner, id)? {
        messages::doom(tx, &earlier.blob)?;
        tx.prepare_cached("DELETE FROM pending WHERE owner = ? AND id = ?")?
            .execute(params![owner.as_bytes(), id])?;
    }
    Ok(())
}

fn from_row(row: &Row<'_>) -> Result<Pending, Error> {
    let uid = |index| Uid::from_bytes(row.get(index)?).map_err(|_| Error::Stored("a user id"));
    Ok(Pending {
        owner: uid(0)?,
        id: row.get(1)?,
        depositor: uid(2)?,
        blob: row.get(3)?,
        size: row.get(4)?,
        sha256: row.get(5)?,
        since: Timestamp::from_unix(row.get(6)?).map_err(|_| Error::Stored("a time"))?,
    })
}
