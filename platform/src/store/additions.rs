//! Working credentials that are added to an account and revoked again (FORMATS §7, §8).

use life_pki::account_log::CredentialId;
use life_pki::{KeySlot, Timestamp, Uid};
use life_sys::secret::Key256;
use rusqlite::{Connection, OptionalExtension, params};

use super::super_pins::NewSuperPin;
use crate::authority::added::{AddedKeys, CheckedAddition};
use crate::authority::client::Certificates;
use crate::encoding::{Base64, sha256};
use crate::error::Error;

/// The name of an addition: 16 random bytes, in the contract 32 hexadecimal digits.
pub type AdditionId = [u8; 16];

/// A credential on its way.
pub struct Addition {
    /// Its name.
    pub id: AdditionId,
    /// Whose it is to be.
    pub uid: Uid,
    /// When it is forgotten.
    pub expires: Timestamp,
    /// The keys.
    pub keys: AddedKeys,
    /// What the answer must be.
    pub nonce: Key256,
    /// The nonce, sealed to the encryption key.
    pub challenge: Vec<u8>,
}

life_sys::secret_types!(Addition);

/// What a commit stores, all at once.
pub struct Added<'a> {
    /// What was checked.
    pub checked: &'a CheckedAddition,
    /// The entry that adds it, DER.
    pub entry: &'a [u8],
    /// The root key seal.
    pub seal: &'a [u8],
    /// What the SuperPIN is found and opened by.
    pub super_pin: &'a NewSuperPin,
    /// The certificates by slot.
    pub certificates: &'a Certificates,
}

/// How many additions of a user are open.
///
/// # Errors
/// [`Error::Database`].
pub fn open(connection: &Connection, uid: Uid) -> Result<u64, Error> {
    let sql = "SELECT COUNT(*) FROM addition WHERE uid = ?";
    Ok(connection.prepare_cached(sql)?.query_row([uid.as_bytes()], |row| row.get(0))?)
}

/// Stores a new addition.
///
/// # Errors
/// [`Error::Database`].
pub fn insert(tx: &Connection, addition: &Addition) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO addition VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            addition.id,
            addition.uid.as_bytes(),
            addition.expires.unix(),
            addition.keys.authentication_csr.0,
            addition.keys.signature_csr.0,
            addition.keys.encryption_spki.0,
            // EXPOSE: it stands in the database until the addition is over.
            addition.nonce.expose(),
            addition.challenge
        ],
    )?;
    Ok(())
}

/// Finds an addition of a user.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn find(connection: &Connection, uid: Uid, id: &AdditionId) -> Result<Option<Addition>, Error> {
    let sql =
        "SELECT expires, authentication_csr, signature_csr, encryption_spki, nonce, challenge FROM addition
               WHERE id = ? AND uid = ?";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![id, uid.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Addition {
        id: *id,
        uid,
        expires: Timestamp::from_unix(row.get(0)?).map_err(|_| Error::Stored("a time"))?,
        keys: AddedKeys {
            authentication_csr: Base64(row.get(1)?),
            signature_csr: Base64(row.get(2)?),
            encryption_spki: Base64(row.get(3)?),
        },
        nonce: Key256::take(&mut row.get(4)?),
        challenge: row.get(5)?,
    }))
}

/// As the index for it is written.
pub(super) const SWEEP: &str = "DELETE FROM addition WHERE expires <= ?";

/// Forgets what expired.
///
/// # Errors
/// [`Error::Database`].
pub fn sweep(tx: &Connection, now: Timestamp) -> Result<usize, Error> {
    Ok(tx.execute(SWEEP, [now.unix()])?)
}

/// Adds the credential to the account: entry, keys, certificates, seal and SuperPIN.
///
/// # Errors
/// [`Error::Database`], also when the place in the log, a key or the credential is taken.
pub fn commit(tx: &Connection, uid: Uid, added: &Added<'_>) -> Result<(), Error> {
    let (user, id) = (uid.as_bytes(), added.checked.credential.id);
    append(tx, uid, added.checked.state.length().saturating_sub(1), added.entry)?;
    for (slot, key) in &added.checked.keys {
        tx.execute("INSERT INTO key VALUES (?, ?, ?)", params![key.hash().0, user, slot.number()])?;
    }
    tx.execute(
        "INSERT INTO credential (id, uid, kind) VALUES (?, ?, ?)",
        params![id.0, user, added.checked.credential.kind.number()],
    )?;
    for (slot, der) in added.certificates {
        tx.execute(
            "INSERT INTO certificate VALUES (?, ?, ?, ?, NULL, ?)",
            params![sha256(&[der]), user, id.0, slot.number(), der],
        )?;
    }
    let generation = added.checked.state.current_root().generation;
    tx.execute("INSERT INTO seal VALUES (?, ?, ?, ?)", params![user, id.0, generation, added.seal])?;
    tx.execute(
        "INSERT INTO super_pin VALUES (?, ?, ?, ?)",
        params![added.super_pin.lookup, id.0, added.super_pin.verifier, added.super_pin.bundle],
    )?;
    Ok(())
}

/// Revokes a credential: the entry that says so, and nothing stays that it could open.
///
/// # Errors
/// [`Error::Database`], also when the place in the log is taken.
pub fn revoke(
    tx: &Connection,
    uid: Uid,
    credential: CredentialId,
    (position, entry): (u32, &[u8]),
    now: Timestamp,
) -> Result<(), Error> {
    append(tx, uid, position, entry)?;
    super::accounts::revoke(tx, uid, credential, now)?;
    tx.execute("DELETE FROM seal WHERE uid = ? AND credential = ?", params![uid.as_bytes(), credential.0])?;
    tx.execute("UPDATE super_pin SET bundle = NULL WHERE credential = ?", [credential.0])?;
    Ok(())
}

/// The entry at a place of the log.
///
/// # Errors
/// [`Error::Database`].
pub fn entry_at(connection: &Connection, uid: Uid, position: u32) -> Result<Option<Vec<u8>>, Error> {
    Ok(connection
        .prepare_cached("SELECT der FROM log_entry WHERE uid = ? AND position = ?")?
        .query_row(params![uid.as_bytes(), position], |row| row.get(0))
        .optional()?)
}

fn append(tx: &Connection, uid: Uid, position: u32, entry: &[u8]) -> Result<(), Error> {
    tx.execute("INSERT INTO log_entry VALUES (?, ?, ?)", params![uid.as_bytes(), position, entry])?;
    Ok(())
}

/// The certificates of one credential.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn certificates(connection: &Connection, uid: Uid, id: CredentialId) -> Result<Certificates, Error> {
    let mut certificates = super::accounts::certificates(connection, uid, id)?;
    certificates.remove(&KeySlot::Root);
    Ok(certificates)
}
