//! What the CA remembers: whom it issued to, every serial, and what was revoked.

use std::path::Path;

use life_pki::account_log::CredentialId;
use life_pki::{KeySlot, Timestamp, Uid};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::crl::Revoked;
use crate::error::Error;
use crate::store::Presence;

const MIGRATIONS: &[&str] = &[
    "
CREATE TABLE account (
    uid BLOB PRIMARY KEY,
    evidence BLOB NOT NULL,
    time INTEGER NOT NULL
) STRICT;
CREATE TABLE issued (
    serial BLOB PRIMARY KEY,
    uid BLOB NOT NULL REFERENCES account (uid),
    credential BLOB,
    slot INTEGER NOT NULL,
    der BLOB NOT NULL,
    time INTEGER NOT NULL,
    revoked INTEGER
) STRICT;
CREATE INDEX issued_of_user ON issued (uid, credential);
CREATE TABLE crl_number (number INTEGER NOT NULL) STRICT;
INSERT INTO crl_number VALUES (0);
",
    "
ALTER TABLE issued ADD expires INTEGER;
-- Longer than any configuration allows.
UPDATE issued SET expires = time + 7301 * 86400;
CREATE INDEX issued_revoked ON issued (revoked, serial) WHERE revoked IS NOT NULL;
",
];

/// A certificate to be remembered.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The slot.
    pub slot: KeySlot,
    /// Serial number, big endian.
    pub serial: Vec<u8>,
    /// The certificate.
    pub der: Vec<u8>,
    /// When it ends by itself.
    pub expires: Timestamp,
}

/// Number and entries of the next revocation list.
#[derive(Clone, Debug)]
pub struct NextList {
    /// The CRL number.
    pub number: u64,
    /// Everything revoked so far that has not expired.
    pub revoked: Vec<Revoked>,
}

/// The CA's own database.
pub struct Ledger(Connection);

impl Ledger {
    /// Opens the database that `init` made.
    ///
    /// # Errors
    /// [`Error::Config`] when there is none: what was issued and revoked must not be forgotten; [`Error::Database`];
    /// [`Error::Stored`] for one written by a newer version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self(crate::store::open(path, MIGRATIONS, Presence::Expect)?))
    }

    /// Makes the database.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn create(path: &Path) -> Result<Self, Error> {
        Ok(Self(crate::store::open(path, MIGRATIONS, Presence::Create)?))
    }

    /// The digest of the evidence that a user was registered on.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn evidence(&self, uid: Uid) -> Result<Option<[u8; 32]>, Error> {
        let sql = "SELECT evidence FROM account WHERE uid = ?";
        Ok(self.0.query_row(sql, [uid.as_bytes()], |row| row.get(0)).optional()?)
    }

    /// What one credential of a user was issued; with `None` what its root credential was.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Stored`].
    pub fn issued(&self, uid: Uid, credential: Option<CredentialId>) -> Result<Vec<Issued>, Error> {
        let sql = "SELECT slot, serial, der, expires FROM issued WHERE uid = ? AND credential IS ?";
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params![uid.as_bytes(), credential.map(|id| id.0)])?;
        let mut issued = Vec::new();
        while let Some(row) = rows.next()? {
            let slot = KeySlot::from_number(row.get(0)?).ok_or(Error::Stored("a key slot"))?;
            let expires = Timestamp::from_unix(row.get(3)?).map_err(|_| Error::Stored("a time"))?;
            issued.push(Issued { slot, serial: row.get(1)?, der: row.get(2)?, expires });
        }
        Ok(issued)
    }

    /// Remembers a registration and its certificates, before they are handed out.
    ///
    /// # Errors
    /// [`Error::Database`], also when the user or a serial is there already.
    pub fn record(
        &mut self,
        uid: Uid,
        evidence: &[u8; 32],
        credential: CredentialId,
        issued: &[Issued],
        now: Timestamp,
    ) -> Result<(), Error> {
        let tx = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute("INSERT INTO account VALUES (?, ?, ?)", params![uid.as_bytes(), evidence, now.unix()])?;
        insert(&tx, uid, credential, issued, now)?;
        Ok(tx.commit()?)
    }

    /// Remembers the certificates of a credential that is added, before they are handed out.
    ///
    /// # Errors
    /// [`Error::Database`], also when the user is unknown or a serial is there already.
    pub fn record_added(
        &mut self,
        uid: Uid,
        credential: CredentialId,
        issued: &[Issued],
        now: Timestamp,
    ) -> Result<(), Error> {
        let tx = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        insert(&tx, uid, credential, issued, now)?;
        Ok(tx.commit()?)
    }

    /// Marks every certificate of a credential as revoked since a time, though not before it was issued; the first
    /// time counts. Returns how many there are.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn revoke(&mut self, uid: Uid, credential: CredentialId, since: Timestamp) -> Result<usize, Error> {
        Ok(self.0.execute(
            "UPDATE issued SET revoked = COALESCE(revoked, MAX(?, time)) WHERE uid = ? AND credential = ?",
            params![since.unix(), uid.as_bytes(), credential.0],
        )?)
    }

    /// Takes the next CRL number and everything revoked by now, but for certificates that expired before
    /// `expired_before`: nobody takes those for valid, and the list would grow for ever (RFC 5280 §3.3).
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn next_crl(&mut self, now: Timestamp, expired_before: Timestamp) -> Result<NextList, Error> {
        let tx = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number: u64 =
            tx.query_row("UPDATE crl_number SET number = number + 1 RETURNING number", [], |row| row.get(0))?;
        let revoked = tx
            .prepare(
                "SELECT serial, revoked FROM issued WHERE revoked <= ? AND expires >= ?
                 ORDER BY revoked, serial",
            )?
            .query_map([now.unix(), expired_before.unix()], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
            })?
            .map(|row| {
                let (serial, time) = row?;
                let time = Timestamp::from_unix(time).map_err(|_| Error::Stored("a time"))?;
                Ok(Revoked { serial, time })
            })
            .collect::<Result<_, Error>>()?;
        tx.commit()?;
        Ok(NextList { number, revoked })
    }
}

fn insert(
    tx: &Connection,
    uid: Uid,
    credential: CredentialId,
    issued: &[Issued],
    now: Timestamp,
) -> Result<(), Error> {
    for certificate in issued {
        let credential = (certificate.slot != KeySlot::Root).then_some(credential.0);
        tx.execute(
            "INSERT INTO issued VALUES (?, ?, ?, ?, ?, ?, NULL, ?)",
            params![
                certificate.serial,
                uid.as_bytes(),
                credential,
                certificate.slot.number(),
                certificate.der,
                now.unix(),
                certificate.expires.unix()
            ],
        )?;
    }
    Ok(())
}
