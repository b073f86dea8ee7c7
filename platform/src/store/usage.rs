//! How much room content takes up: messages in an inbox and of one depositor, documents of one owner.

use life_pki::Uid;
use rusqlite::{Connection, OptionalExtension, Params};

use crate::error::Error;

/// What is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Messages.
    pub messages: u64,
    /// Bytes of all messages.
    pub bytes: u64,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything of one depositor, in all inboxes.
    Depositor(Uid),
    /// The documents of one owner.
    Documents(Uid),
    /// One inbox.
    Inbox(Uid),
    /// What one depositor has in one inbox.
    Share {
        /// Whose inbox.
        owner: Uid,
        /// Who deposited it.
        depositor: Uid,
    },
}

/// What is held by now, invisible messages included.
///
/// A depositor answers for the ids of deleted messages too, as long as they stay taken: they are rows that only the
/// depositor made.
///
/// # Errors
/// [`Error::Database`].
pub fn of(connection: &Connection, scope: Scope) -> Result<Usage, Error> {
    const OF_DEPOSITOR: &str = "COUNT(*), COALESCE(SUM(size) FILTER (WHERE deleted IS NULL), 0) FROM message";
    const PENDING: &str = "COUNT(*), COALESCE(SUM(size), 0) FROM pending";
    let (kept, pending) = match scope {
        Scope::Depositor(depositor) => {
            let parameters = [depositor.as_bytes()];
            let kept = format!("SELECT {OF_DEPOSITOR} WHERE depositor = ?");
            let pending = format!("SELECT {PENDING} WHERE depositor = ?");
            (one(connection, &kept, parameters)?, one(connection, &pending, parameters)?)
        }
        Scope::Documents(owner) => {
            let all = documents(connection, owner)?;
            return Ok(Usage { messages: all.documents.saturating_add(all.uploads), bytes: all.bytes });
        }
        Scope::Inbox(owner) => {
            let parameters = [owner.as_bytes()];
            let kept = "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM message
                        WHERE owner = ? AND blob IS NOT NULL";
            let pending = format!("SELECT {PENDING} WHERE owner = ?");
            (one(connection, kept, parameters)?, one(connection, &pending, parameters)?)
        }
        Scope::Share { owner, depositor } => {
            let parameters = [depositor.as_bytes(), owner.as_bytes()];
            let kept = format!("SELECT {OF_DEPOSITOR} WHERE depositor = ? AND owner = ?");
            let pending = format!("SELECT {PENDING} WHERE depositor = ? AND owner = ?");
            (one(connection, &kept, parameters)?, one(connection, &pending, parameters)?)
        }
    };
    Ok(Usage {
        messages: kept.messages.saturating_add(pending.messages),
        bytes: kept.bytes.saturating_add(pending.bytes),
    })
}

/// What an owner's documents take up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Documents {
    /// Documents, with those deleted lately.
    pub documents: u64,
    /// Open uploads.
    pub uploads: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Readers of all documents.
    pub readers: u64,
}

/// What an owner's documents take up by now.
///
/// # Errors
/// [`Error::Database`].
pub fn documents(connection: &Connection, owner: Uid) -> Result<Documents, Error> {
    let sql = "SELECT documents, uploads, bytes, readers FROM document_usage WHERE uid = ?";
    Ok(connection
        .prepare_cached(sql)?
        .query_row([owner.as_bytes()], |row| {
            Ok(Documents {
                documents: row.get(0)?,
                uploads: row.get(1)?,
                bytes: row.get(2)?,
                readers: row.get(3)?,
            })
        })
        .optional()?
        .unwrap_or_default())
}

fn one(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Usage, Error> {
    Ok(connection
        .prepare_cached(sql)?
        .query_row(parameters, |row| Ok(Usage { messages: row.get(0)?, bytes: row.get(1)? }))?)
}
