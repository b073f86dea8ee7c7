//! SuperPINs: what one is found by, what its challenge is judged with, and the key bundle (FORMATS §6, §8).

use life_pki::account_log::CredentialId;
use life_pki::{Timestamp, Uid};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Error;

/// What a SuperPIN is found by: 16 bytes that come from it.
pub type LookupId = [u8; 16];
/// The name of a login: 16 random bytes, in the contract 32 hexadecimal digits.
pub type LoginId = [u8; 16];

/// For so many seconds logins are counted.
pub const WINDOW: u32 = 3600;

/// What a new SuperPIN leaves at the platform.
pub struct NewSuperPin {
    /// What it is found by.
    pub lookup: LookupId,
    /// SubjectPublicKeyInfo of the key that answers challenges.
    pub verifier: Vec<u8>,
    /// The key bundle.
    pub bundle: Vec<u8>,
}

/// A SuperPIN as it is stored.
pub struct SuperPin {
    /// Whose it is.
    pub uid: Uid,
    /// The credential.
    pub credential: CredentialId,
    /// SubjectPublicKeyInfo of the key that answers challenges.
    pub verifier: Vec<u8>,
    /// The key bundle; nothing once the credential was revoked.
    pub bundle: Option<Vec<u8>>,
}

/// A challenge that was given out.
pub struct Login {
    /// Its name.
    pub id: LoginId,
    /// Which SuperPIN it is for; there may be none of this id.
    pub lookup: LookupId,
    /// What is to be signed.
    pub nonce: [u8; 32],
    /// The network that asked.
    pub network: [u8; 16],
    /// When it was given out.
    pub begun: Timestamp,
}

/// Finds a SuperPIN, revoked or not.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn find(connection: &Connection, lookup: &LookupId) -> Result<Option<SuperPin>, Error> {
    let sql = "SELECT uid, credential, verifier, bundle, revoked IS NOT NULL FROM super_pin
               JOIN credential ON credential.id = super_pin.credential WHERE lookup = ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([lookup])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let revoked: bool = row.get(4)?;
    Ok(Some(SuperPin {
        uid: Uid::from_bytes(row.get(0)?).map_err(|_| Error::Stored("a user id"))?,
        credential: CredentialId(row.get(1)?),
        verifier: row.get(2)?,
        // The operator's revocation leaves the row as it is.
        bundle: row.get::<_, Option<_>>(3)?.filter(|_| !revoked),
    }))
}

/// Whether an id is taken.
///
/// # Errors
/// [`Error::Database`].
pub fn is_taken(connection: &Connection, lookup: &LookupId) -> Result<bool, Error> {
    Ok(connection.prepare_cached("SELECT 1 FROM super_pin WHERE lookup = ?")?.exists([lookup])?)
}

/// How many logins began since a time: from one network, and in all.
///
/// # Errors
/// [`Error::Database`].
pub fn begun_since(
    connection: &Connection,
    network: &[u8; 16],
    since: Timestamp,
) -> Result<(u64, u64), Error> {
    let ours = connection
        .prepare_cached("SELECT COUNT(*) FROM super_pin_login WHERE network = ? AND begun > ?")?
        .query_row(params![network, since.unix()], |row| row.get(0))?;
    let all = connection
        .prepare_cached("SELECT COUNT(*) FROM super_pin_login WHERE begun > ?")?
        .query_row([since.unix()], |row| row.get(0))?;
    Ok((ours, all))
}

/// Stores a challenge.
///
/// # Errors
/// [`Error::Database`].
pub fn begin(tx: &Connection, login: &Login) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO super_pin_login (id, lookup, nonce, network, begun) VALUES (?, ?, ?, ?, ?)",
        params![login.id, login.lookup, login.nonce, login.network, login.begun.unix()],
    )?;
    Ok(())
}

/// Takes a challenge that began after a time, for its one answer; nothing when it had one, or is unknown.
///
/// # Errors
/// [`Error::Database`].
pub fn take(tx: &Connection, id: &LoginId, since: Timestamp) -> Result<Option<(LookupId, [u8; 32])>, Error> {
    let sql = "UPDATE super_pin_login SET answered = 1 WHERE id = ? AND answered = 0 AND begun > ?
               RETURNING lookup, nonce";
    Ok(tx
        .prepare_cached(sql)?
        .query_row(params![id, since.unix()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// As the index for it is written.
pub(super) const SWEEP: &str = "DELETE FROM super_pin_login WHERE begun <= ?";

/// Forgets what counts no more.
///
/// # Errors
/// [`Error::Database`].
pub fn sweep(tx: &Connection, now: Timestamp) -> Result<usize, Error> {
    Ok(tx.execute(SWEEP, [now.minus(WINDOW).unix()])?)
}
