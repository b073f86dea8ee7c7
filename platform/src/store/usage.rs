//! How much room messages take up: in an inbox, and of one depositor's.

use life_pki::Uid;
use rusqlite::{Connection, Params};

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

fn one(connection: &Connection, sql: &str, parameters: impl Params) -> Result<Usage, Error> {
    Ok(connection
        .prepare_cached(sql)?
        .query_row(parameters, |row| Ok(Usage { messages: row.get(0)?, bytes: row.get(1)? }))?)
}
