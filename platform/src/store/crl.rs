//! The current certificate revocation list.

use life_pki::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Error;

/// A revocation list as the CA signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredList {
    /// The list in DER.
    pub der: Vec<u8>,
    /// When it was made.
    pub this_update: Timestamp,
    /// When it is stale.
    pub next_update: Timestamp,
}

/// Stores a list unless a later one is there: two processes may ask the CA at once.
///
/// # Errors
/// [`Error::Database`].
pub fn put(tx: &Connection, der: &[u8], this_update: Timestamp, next_update: Timestamp) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO crl VALUES (1, ?1, ?2, ?3) ON CONFLICT (only) DO UPDATE
         SET der = ?1, this_update = ?2, next_update = ?3 WHERE this_update <= ?2",
        params![der, this_update.unix(), next_update.unix()],
    )?;
    Ok(())
}

/// The current list.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn get(connection: &Connection) -> Result<Option<StoredList>, Error> {
    let row: Option<(Vec<u8>, i64, i64)> = connection
        .prepare_cached("SELECT der, this_update, next_update FROM crl")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let time = |seconds| Timestamp::from_unix(seconds).map_err(|_| Error::Stored("a time"));
    row.map(|(der, this_update, next_update)| {
        Ok(StoredList { der, this_update: time(this_update)?, next_update: time(next_update)? })
    })
    .transpose()
}
