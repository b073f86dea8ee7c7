//! Accounts: logs, keys, credentials, certificates and root key seals.

use std::collections::BTreeMap;

use life_pki::account_log::CredentialId;
use life_pki::{KeySlot, ParticipantKind, SpkiHash, Timestamp, Uid};
use rusqlite::{Connection, OptionalExtension, params};

use super::registrations::{Accepted, Registration};
use crate::authority::client::Certificates;
use crate::authority::evidence::CheckedEvidence;
use crate::encoding::sha256;
use crate::error::Error;

/// An account as its directory entry shows it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub uid: Uid,
    /// What kind of participant.
    pub kind: ParticipantKind,
    /// The whole account log.
    pub log: Vec<Vec<u8>>,
}

/// Whose certificate a client showed, as stored when it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCertificate {
    /// The user.
    pub uid: Uid,
    /// The credential it belongs to; nothing for a root credential.
    pub credential: Option<CredentialId>,
    /// The slot.
    pub slot: KeySlot,
    /// Whether the credential was revoked.
    pub revoked: bool,
}

/// A credential that was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Whose it was.
    pub uid: Uid,
    /// The credential.
    pub credential: CredentialId,
    /// Since when it counts for nothing.
    pub time: Timestamp,
}

/// A root key seal.
#[derive(Clone, Debug)]
pub struct StoredSeal {
    /// The working credential it is sealed to.
    pub credential: CredentialId,
    /// The root credential's generation.
    pub generation: u32,
    /// The envelope.
    pub der: Vec<u8>,
}

/// Whether one of the keys belongs to an account already, or will once its registration is complete.
///
/// # Errors
/// [`Error::Database`].
pub fn any_key_known(connection: &Connection, keys: &[SpkiHash]) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM claim WHERE name = ?")?;
    for key in keys {
        if statement.exists([key.0])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes keys and credential id for a user, for good. Returns whether all of them were free.
///
/// # Errors
/// [`Error::Database`].
pub fn claim(tx: &Connection, uid: Uid, keys: &[SpkiHash], credential: CredentialId) -> Result<bool, Error> {
    let mut statement = tx.prepare_cached("INSERT OR IGNORE INTO claim VALUES (?, ?)")?;
    let names = keys.iter().map(|key| &key.0[..]).chain([&credential.0[..]]);
    let mut free = true;
    for name in names {
        free &= statement.execute(params![name, uid.as_bytes()])? == 1;
    }
    Ok(free)
}

/// Makes the account of a registration, all at once.
///
/// # Errors
/// [`Error::Database`], also when the user, a key or a credential is there already.
pub fn create(
    tx: &Connection,
    registration: &Registration,
    accepted: &Accepted,
    checked: &CheckedEvidence,
    certificates: &Certificates,
    now: Timestamp,
) -> Result<(), Error> {
    let uid = registration.uid.as_bytes();
    let credential = &checked.credential.keys;
    tx.execute(
        "INSERT INTO account VALUES (?, ?, ?)",
        params![uid, checked.state.kind().number(), now.unix()],
    )?;
    for (position, der) in (0i64..).zip(&accepted.log) {
        tx.execute("INSERT INTO log_entry VALUES (?, ?, ?)", params![uid, position, der])?;
    }
    for (slot, key) in checked.keys.slots() {
        tx.execute("INSERT INTO key VALUES (?, ?, ?)", params![key.hash().0, uid, slot.number()])?;
    }
    tx.execute(
        "INSERT INTO credential (id, uid, kind) VALUES (?, ?, ?)",
        params![credential.id.0, uid, credential.kind.number()],
    )?;
    let generation = checked.state.current_root().generation;
    for (slot, der) in certificates {
        let root = *slot == KeySlot::Root;
        tx.execute(
            "INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?)",
            params![
                sha256(&[der]),
                uid,
                (!root).then_some(credential.id.0),
                slot.number(),
                root.then_some(generation),
                der
            ],
        )?;
    }
    tx.execute(
        "INSERT INTO seal VALUES (?, ?, ?, ?)",
        params![uid, credential.id.0, generation, accepted.seal],
    )?;
    Ok(())
}

/// Finds an account.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn find(connection: &Connection, uid: Uid) -> Result<Option<Account>, Error> {
    let kind: Option<u8> = connection
        .prepare_cached("SELECT kind FROM account WHERE uid = ?")?
        .query_row([uid.as_bytes()], |row| row.get(0))
        .optional()?;
    let Some(kind) = kind else { return Ok(None) };
    let kind = ParticipantKind::from_number(kind).ok_or(Error::Stored("a participant kind"))?;
    let log = connection
        .prepare_cached("SELECT der FROM log_entry WHERE uid = ? ORDER BY position")?
        .query_map([uid.as_bytes()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(Some(Account { uid, kind, log }))
}

/// Whether there is such an account.
///
/// # Errors
/// [`Error::Database`].
pub fn exists(connection: &Connection, uid: Uid) -> Result<bool, Error> {
    Ok(connection.prepare_cached("SELECT 1 FROM account WHERE uid = ?")?.exists([uid.as_bytes()])?)
}

/// The certificate of an account's latest root credential.
///
/// # Errors
/// [`Error::Database`].
pub fn root_certificate(connection: &Connection, uid: Uid) -> Result<Option<Vec<u8>>, Error> {
    let sql = "SELECT der FROM certificate WHERE uid = ? AND slot = ? ORDER BY generation DESC LIMIT 1";
    Ok(connection
        .prepare_cached(sql)?
        .query_row(params![uid.as_bytes(), KeySlot::Root.number()], |row| row.get(0))
        .optional()?)
}

/// Whose root credential a key is, of any generation.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn root_key_owner(connection: &Connection, key: SpkiHash) -> Result<Option<Uid>, Error> {
    let uid: Option<[u8; 16]> = connection
        .prepare_cached("SELECT uid FROM key WHERE spki_hash = ? AND slot = ?")?
        .query_row(params![key.0, KeySlot::Root.number()], |row| row.get(0))
        .optional()?;
    uid.map(|uid| Uid::from_bytes(uid).map_err(|_| Error::Stored("a user id"))).transpose()
}

/// The certificates of one credential and of the latest root credential.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn certificates(
    connection: &Connection,
    uid: Uid,
    credential: CredentialId,
) -> Result<Certificates, Error> {
    let mut certificates = BTreeMap::new();
    let mut statement =
        connection.prepare_cached("SELECT slot, der FROM certificate WHERE uid = ? AND credential = ?")?;
    let mut rows = statement.query(params![uid.as_bytes(), credential.0])?;
    while let Some(row) = rows.next()? {
        let slot = KeySlot::from_number(row.get(0)?).ok_or(Error::Stored("a key slot"))?;
        certificates.insert(slot, row.get(1)?);
    }
    if let Some(root) = root_certificate(connection, uid)? {
        certificates.insert(KeySlot::Root, root);
    }
    Ok(certificates)
}

/// Finds what an issued certificate stands for, by SHA-256 of its DER.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn known_certificate(
    connection: &Connection,
    hash: &[u8; 32],
) -> Result<Option<KnownCertificate>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT certificate.uid, credential, slot, revoked IS NOT NULL FROM certificate
         LEFT JOIN credential ON credential.id = certificate.credential WHERE sha256 = ?",
    )?;
    let mut rows = statement.query([hash])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(KnownCertificate {
        uid: Uid::from_bytes(row.get(0)?).map_err(|_| Error::Stored("a user id"))?,
        credential: row.get::<_, Option<[u8; 16]>>(1)?.map(CredentialId),
        slot: KeySlot::from_number(row.get(2)?).ok_or(Error::Stored("a key slot"))?,
        revoked: row.get(3)?,
    }))
}

/// The root key seals of an account, oldest generation first.
///
/// # Errors
/// [`Error::Database`].
pub fn seals(connection: &Connection, uid: Uid) -> Result<Vec<StoredSeal>, Error> {
    Ok(connection
        .prepare_cached("SELECT credential, generation, der FROM seal WHERE uid = ? ORDER BY generation")?
        .query_map([uid.as_bytes()], |row| {
            Ok(StoredSeal {
                credential: CredentialId(row.get(0)?),
                generation: row.get(1)?,
                der: row.get(2)?,
            })
        })?
        .collect::<Result<_, _>>()?)
}

/// Revokes a credential for every request from now on; the first time counts. Returns whether there is one.
///
/// # Errors
/// [`Error::Database`].
pub fn revoke(tx: &Connection, uid: Uid, credential: CredentialId, now: Timestamp) -> Result<bool, Error> {
    let changed = tx.execute(
        "UPDATE credential SET revoked = COALESCE(revoked, ?) WHERE uid = ? AND id = ?",
        params![now.unix(), uid.as_bytes(), credential.0],
    )?;
    Ok(changed > 0)
}

/// As the partial index for it is written.
pub(super) const UNSENT: &str =
    "SELECT uid, id, revoked FROM credential WHERE revoked IS NOT NULL AND revocation_sent = 0";

/// Credentials that are revoked here and not yet at the CA.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn unsent_revocations(connection: &Connection) -> Result<Vec<Revocation>, Error> {
    let mut statement = connection.prepare_cached(UNSENT)?;
    let mut rows = statement.query([])?;
    let mut unsent = Vec::new();
    while let Some(row) = rows.next()? {
        unsent.push(Revocation {
            uid: Uid::from_bytes(row.get(0)?).map_err(|_| Error::Stored("a user id"))?,
            credential: CredentialId(row.get(1)?),
            time: Timestamp::from_unix(row.get(2)?).map_err(|_| Error::Stored("a time"))?,
        });
    }
    Ok(unsent)
}

/// Remembers that the CA knows of a revocation.
///
/// # Errors
/// [`Error::Database`].
pub fn revocation_sent(tx: &Connection, credential: CredentialId) -> Result<(), Error> {
    tx.execute("UPDATE credential SET revocation_sent = 1 WHERE id = ?", [credential.0])?;
    Ok(())
}
