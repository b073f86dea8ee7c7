//! Registrations on their way: begun, approved, proven, committed (FORMATS §8).

use life_pki::{ParticipantKind, Timestamp, Uid};
use life_sys::secret::Key256;
use rusqlite::{Connection, Row, params};

use crate::authority::evidence::{Evidence, Keys};
use crate::encoding::Base64;
use crate::error::Error;

/// How far a registration has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Keys and commit are welcome.
    Open,
    /// A registrar has to decide first.
    PendingApproval,
    /// A registrar said no.
    Refused,
    /// The account exists.
    Committed,
}

impl State {
    /// The name that stands for it in the REST contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::PendingApproval => "PENDING_APPROVAL",
            Self::Refused => "REFUSED",
            Self::Committed => "COMMITTED",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Open => 1,
            Self::PendingApproval => 2,
            Self::Refused => 3,
            Self::Committed => 4,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Open, Self::PendingApproval, Self::Refused, Self::Committed]
            .into_iter()
            .find(|state| state.number() == number)
    }
}

/// The name of a registration: 16 random bytes, in the contract 32 hexadecimal digits.
pub type RegistrationId = [u8; 16];

/// What possession of a key that does not sign is proven with.
pub struct Challenge {
    /// What the answer must be.
    pub nonce: Key256,
    /// The nonce, sealed to the key.
    pub envelope: Vec<u8>,
}

life_sys::secret_types!(Challenge);

/// Keys that were handed in, with their challenges.
pub struct Proving {
    /// The keys.
    pub keys: Keys,
    /// For the encryption key.
    pub encryption: Challenge,
    /// For the root credential.
    pub root: Challenge,
}

life_sys::secret_types!(Proving);

/// What a valid commit handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Genesis and first root credential.
    pub log: [Vec<u8>; 2],
    /// The root key seal.
    pub seal: Vec<u8>,
}

/// One registration.
pub struct Registration {
    /// Its name.
    pub id: RegistrationId,
    /// The user it is to become.
    pub uid: Uid,
    /// What kind of participant.
    pub kind: ParticipantKind,
    /// The ephemeral key's SubjectPublicKeyInfo.
    pub client_key: Vec<u8>,
    /// How far it has come.
    pub state: State,
    /// When it was begun.
    pub created: Timestamp,
    /// When it is forgotten, unless a commit was accepted.
    pub expires: Timestamp,
    /// The keys, once handed in.
    pub proving: Option<Proving>,
    /// The evidence, once valid.
    pub accepted: Option<Accepted>,
}

life_sys::secret_types!(Registration);

impl Registration {
    /// The evidence the CA asks for, once a commit was accepted.
    #[must_use]
    pub fn evidence(&self) -> Option<Evidence> {
        let (proving, accepted) = (self.proving.as_ref()?, self.accepted.as_ref()?);
        let log = accepted.log.iter().cloned().map(Base64).collect();
        Some(Evidence { keys: proving.keys.clone(), log })
    }

    /// Whether it is still there for its client: accepted and committed ones do not expire.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        now < self.expires || self.accepted.is_some() || self.state == State::Committed
    }
}

const COLUMNS: &str = "id, uid, kind, client_key, state, created, expires, authentication_csr, signature_csr,
    encryption_spki, root_spki, encryption_nonce, root_nonce, encryption_challenge, root_challenge, genesis,
    first_root, seal";

/// Stores a new registration.
///
/// # Errors
/// [`Error::Database`].
pub fn insert(tx: &Connection, registration: &Registration) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO registration (id, uid, kind, client_key, state, created, expires)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            registration.id,
            registration.uid.as_bytes(),
            registration.kind.number(),
            registration.client_key,
            registration.state.number(),
            registration.created.unix(),
            registration.expires.unix()
        ],
    )?;
    Ok(())
}

/// Finds a registration by its name.
///
/// # Errors
/// [`Error::Database`], [`Error::Stored`].
pub fn find(connection: &Connection, id: &RegistrationId) -> Result<Option<Registration>, Error> {
    one(connection, &format!("SELECT {COLUMNS} FROM registration WHERE id = ?"), id)
}

/// Finds a registration by the ephemeral key that began it.
///
/// # Errors
/// As [`find`].
pub fn find_by_key(connection: &Connection, client_key: &[u8]) -> Result<Option<Registration>, Error> {
    one(connection, &format!("SELECT {COLUMNS} FROM registration WHERE client_key = ?"), client_key)
}

/// Finds a registration by the user it is to become.
///
/// # Errors
/// As [`find`].
pub fn find_by_uid(connection: &Connection, uid: Uid) -> Result<Option<Registration>, Error> {
    one(connection, &format!("SELECT {COLUMNS} FROM registration WHERE uid = ?"), uid.as_bytes())
}

/// Every registration that waits for a registrar, oldest first.
///
/// # Errors
/// As [`find`].
pub fn pending(connection: &Connection, now: Timestamp) -> Result<Vec<Registration>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM registration WHERE state = ? AND expires > ? ORDER BY created");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(params![State::PendingApproval.number(), now.unix()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(from_row(row)?);
    }
    Ok(found)
}

/// Moves a registration to another state, with a new time to expire.
///
/// # Errors
/// [`Error::Database`].
pub fn set_state(
    tx: &Connection,
    id: &RegistrationId,
    state: State,
    expires: Timestamp,
) -> Result<(), Error> {
    tx.prepare_cached("UPDATE registration SET state = ?, expires = ? WHERE id = ?")?.execute(params![
        state.number(),
        expires.unix(),
        id
    ])?;
    Ok(())
}

/// Stores keys and challenges, in place of earlier ones.
///
/// # Errors
/// [`Error::Database`].
pub fn set_proving(tx: &Connection, id: &RegistrationId, proving: &Proving) -> Result<(), Error> {
    tx.execute(
        "UPDATE registration SET authentication_csr = ?, signature_csr = ?, encryption_spki = ?, root_spki = ?,
         encryption_nonce = ?, root_nonce = ?, encryption_challenge = ?, root_challenge = ? WHERE id = ?",
        params![
            proving.keys.authentication_csr.0,
            proving.keys.signature_csr.0,
            proving.keys.encryption_spki.0,
            proving.keys.root_spki.0,
            // EXPOSE: they stand in the database until the registration is over.
            proving.encryption.nonce.expose(),
            proving.root.nonce.expose(),
            proving.encryption.envelope,
            proving.root.envelope,
            id
        ],
    )?;
    Ok(())
}

/// Stores what the first valid commit handed in.
///
/// # Errors
/// [`Error::Database`].
pub fn set_accepted(tx: &Connection, id: &RegistrationId, accepted: &Accepted) -> Result<(), Error> {
    let [genesis, first_root] = &accepted.log;
    tx.execute(
        "UPDATE registration SET genesis = ?, first_root = ?, seal = ? WHERE id = ?",
        params![genesis, first_root, accepted.seal, id],
    )?;
    Ok(())
}

/// As the partial index for it is written; 4 is [`State::Committed`].
pub(super) const SWEEP: &str =
    "DELETE FROM registration WHERE expires <= ? AND genesis IS NULL AND state <> 4";

/// Forgets what expired before a commit was accepted. Returns how many.
///
/// # Errors
/// [`Error::Database`].
pub fn sweep(tx: &Connection, now: Timestamp) -> Result<usize, Error> {
    Ok(tx.execute(SWEEP, [now.unix()])?)
}

fn one(connection: &Connection, sql: &str, key: impl rusqlite::ToSql) -> Result<Option<Registration>, Error> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([key])?;
    rows.next()?.map(from_row).transpose()
}

fn from_row(row: &Row<'_>) -> Result<Registration, Error> {
    let time = |index| {
        let seconds: i64 = row.get(index)?;
        Timestamp::from_unix(seconds).map_err(|_| Error::Stored("a time"))
    };
    Ok(Registration {
        id: row.get(0)?,
        uid: Uid::from_bytes(row.get(1)?).map_err(|_| Error::Stored("a user id"))?,
        kind: ParticipantKind::from_number(row.get(2)?).ok_or(Error::Stored("a participant kind"))?,
        client_key: row.get(3)?,
        state: State::from_number(row.get(4)?).ok_or(Error::Stored("a registration's state"))?,
        created: time(5)?,
        expires: time(6)?,
        proving: proving(row)?,
        accepted: accepted(row)?,
    })
}

fn proving(row: &Row<'_>) -> Result<Option<Proving>, Error> {
    let Some(authentication_csr) = row.get::<_, Option<Vec<u8>>>(7)? else { return Ok(None) };
    let keys = Keys {
        authentication_csr: Base64(authentication_csr),
        signature_csr: Base64(row.get(8)?),
        encryption_spki: Base64(row.get(9)?),
        root_spki: Base64(row.get(10)?),
    };
    let encryption = Challenge { nonce: nonce(row, 11)?, envelope: row.get(13)? };
    let root = Challenge { nonce: nonce(row, 12)?, envelope: row.get(14)? };
    Ok(Some(Proving { keys, encryption, root }))
}

fn nonce(row: &Row<'_>, column: usize) -> rusqlite::Result<Key256> {
    Ok(Key256::take(&mut row.get(column)?))
}

fn accepted(row: &Row<'_>) -> rusqlite::Result<Option<Accepted>> {
    let Some(genesis) = row.get::<_, Option<Vec<u8>>>(15)? else { return Ok(None) };
    Ok(Some(Accepted { log: [genesis, row.get(16)?], seal: row.get(17)? }))
}
