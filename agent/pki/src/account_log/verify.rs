//! The rules of a log as a state machine: one entry at a time, each judged against what came before.

use std::collections::HashSet;

use super::state::is_permanent;
use super::{
    AccountState, Change, CredentialId, CredentialKeys, CredentialRecord, Entry, EntryError, EntryHash,
    MAX_ENTRIES, Moment, RootRecord,
};
use crate::key::SpkiHash;
use crate::kind::ParticipantKind;
use crate::time::Timestamp;
use crate::uid::Uid;

/// Which entry breaks which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("account log entry {index}: {fault}")]
pub struct LogError {
    /// The index of the first entry at fault; for a log that ends too early, its length.
    pub index: usize,
    /// The rule it breaks.
    pub fault: LogFault,
}

/// The rule that an entry breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// A signature or proof of possession does not verify.
    #[error("a signature does not verify")]
    BadSignature,
    /// The hash of the previous entry is another one.
    #[error("the hash chain is broken")]
    BrokenChain,
    /// A credential id that the log already has.
    #[error("the credential id is not new")]
    DuplicateCredential,
    /// A key that the log already has, in any role.
    #[error("a key is not new")]
    DuplicateKey,
    /// The bytes are no entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The time lies in the future by more than clocks may differ ([`crate::time::MAX_CLOCK_SKEW`]).
    #[error("the time lies in the future, or this machine's clock is behind")]
    FromTheFuture,
    /// The first entry is no genesis, or a later one is.
    #[error("a genesis stands at the beginning and nowhere else")]
    Genesis,
    /// The log lacks its genesis or its first root credential.
    #[error("the log lacks its genesis or its first root credential")]
    Incomplete,
    /// The revocation would leave nobody to sign the next entry.
    #[error("the last permanent working credential cannot be revoked")]
    LastCredential,
    /// An access token opens an account or signs.
    #[error("an access token neither opens an account nor signs")]
    NotPermanent,
    /// The signer is not live after the entry before.
    #[error("the signer is not a live credential of the account")]
    NotLive,
    /// There is no proof of possession where there must be one, it is another key's, or there is one too many.
    #[error("the proof of possession does not fit")]
    Possession,
    /// More than [`MAX_ENTRIES`] entries.
    #[error("the log is too long")]
    TooLong,
    /// The time is before the previous entry's.
    #[error("the time runs backwards")]
    TimeRunsBackwards,
    /// A credential is to be revoked that is not live.
    #[error("the credential to revoke is not live")]
    UnknownCredential,
    /// The generation is not one more than the one before.
    #[error("the generation is not the next one")]
    WrongGeneration,
    /// The index is not the entry's place.
    #[error("the index is not the entry's place")]
    WrongIndex,
    /// The entry, or the whole log, is another user's.
    #[error("the entry belongs to another user")]
    WrongUser,
}

/// Verifies a whole log, given as DER entries in their order, as of `now`.
///
/// The caller still has to check that [`AccountState::uid`] is the user it asked for ([`verify_for`] does) and that
/// the log extends what it has seen before ([`super::Pin::extend`]).
///
/// # Errors
/// [`LogError`] names the first entry that breaks a rule of this module.
pub fn verify<E: AsRef<[u8]>>(entries: &[E], now: Timestamp) -> Result<AccountState, LogError> {
    verify_entries(entries, now).map(|verified| verified.state)
}

/// As [`verify`], for the log of a user named beforehand.
///
/// # Errors
/// As [`verify`], and [`LogFault::WrongUser`] for a valid log of another user.
pub fn verify_for<E: AsRef<[u8]>>(uid: Uid, entries: &[E], now: Timestamp) -> Result<AccountState, LogError> {
    let state = verify(entries, now)?;
    if state.uid() == uid { Ok(state) } else { Err(LogError { index: 0, fault: LogFault::WrongUser }) }
}

/// A verified log with the hash of each of its entries.
pub(super) struct Verified {
    pub(super) state: AccountState,
    pub(super) hashes: Vec<EntryHash>,
}

pub(super) fn verify_entries<E: AsRef<[u8]>>(entries: &[E], now: Timestamp) -> Result<Verified, LogError> {
    if entries.len() > MAX_ENTRIES {
        return Err(LogError { index: MAX_ENTRIES, fault: LogFault::TooLong });
    }
    let mut ledger: Option<Ledger> = None;
    let mut hashes = Vec::with_capacity(entries.len());
    for (index, bytes) in entries.iter().enumerate() {
        let mut step = || {
            let entry = Entry::from_der(bytes.as_ref())?;
            hashes.push(entry.hash());
            if entry.body().time.is_in_the_future(now) {
                return Err(LogFault::FromTheFuture);
            }
            match &mut ledger {
                None => ledger = Some(Ledger::open(&entry)?),
                Some(ledger) => ledger.append(&entry)?,
            }
            Ok(())
        };
        step().map_err(|fault| LogError { index, fault })?;
    }
    let incomplete = LogError { index: entries.len(), fault: LogFault::Incomplete };
    let state = ledger.and_then(Ledger::into_state).ok_or(incomplete)?;
    Ok(Verified { state, hashes })
}

/// The account while its log is read. Before entry 1 it has no root credential and is no [`AccountState`] yet.
struct Ledger {
    uid: Uid,
    kind: ParticipantKind,
    genesis: EntryHash,
    head: EntryHash,
    next_index: u32,
    last_time: Timestamp,
    credentials: Vec<CredentialRecord>,
    roots: Vec<RootRecord>,
    credential_ids: HashSet<CredentialId>,
    keys: HashSet<SpkiHash>,
}

impl Ledger {
    /// Judges entry 0.
    fn open(entry: &Entry) -> Result<Self, LogFault> {
        let body = entry.body();
        let Change::Genesis { kind, credential } = &body.change else { return Err(LogFault::Genesis) };
        if body.index != 0 {
            return Err(LogFault::WrongIndex);
        }
        if body.previous != EntryHash::ZERO {
            return Err(LogFault::BrokenChain);
        }
        if !is_permanent(credential.kind) {
            return Err(LogFault::NotPermanent);
        }
        if entry.signer().hash() != credential.signature {
            return Err(LogFault::NotLive);
        }
        if entry.possession().is_some() {
            return Err(LogFault::Possession);
        }
        entry.verify_signature().map_err(|_| LogFault::BadSignature)?;
        let mut ledger = Self {
            uid: body.uid,
            kind: *kind,
            genesis: entry.hash(),
            head: entry.hash(),
            next_index: 1,
            last_time: body.time,
            credentials: Vec::new(),
            roots: Vec::new(),
            credential_ids: HashSet::new(),
            keys: HashSet::new(),
        };
        ledger.add_credential(credential, Moment { index: 0, time: body.time })?;
        Ok(ledger)
    }

    /// Judges any later entry. What is cheap comes before what is dear.
    fn append(&mut self, entry: &Entry) -> Result<(), LogFault> {
        let body = entry.body();
        if body.index != self.next_index {
            return Err(LogFault::WrongIndex);
        }
        if body.previous != self.head {
            return Err(LogFault::BrokenChain);
        }
        if body.uid != self.uid {
            return Err(LogFault::WrongUser);
        }
        if body.time < self.last_time {
            return Err(LogFault::TimeRunsBackwards);
        }
        self.check_signer(entry)?;
        check_possession(entry)?;
        self.apply(&body.change, Moment { index: body.index, time: body.time })?;
        self.head = entry.hash();
        self.next_index = self.next_index.saturating_add(1);
        self.last_time = body.time;
        Ok(())
    }

    /// The signer is a permanent working credential, live after the entry before.
    fn check_signer(&self, entry: &Entry) -> Result<(), LogFault> {
        let hash = entry.signer().hash();
        let signer = self.credentials.iter().find(|record| record.keys.signature == hash);
        let signer = signer.filter(|record| record.is_live()).ok_or(LogFault::NotLive)?;
        if !is_permanent(signer.keys.kind) {
            return Err(LogFault::NotPermanent);
        }
        entry.verify_signature().map_err(|_| LogFault::BadSignature)
    }

    fn apply(&mut self, change: &Change, moment: Moment) -> Result<(), LogFault> {
        match change {
            Change::Genesis { .. } => Err(LogFault::Genesis),
            Change::AddCredential(_) | Change::RevokeCredential(_) if self.roots.is_empty() => {
                Err(LogFault::Incomplete)
            }
            Change::AddCredential(keys) => self.add_credential(keys, moment),
            Change::RevokeCredential(id) => self.revoke_credential(id, moment),
            Change::NewRoot { generation, spki_hash } => self.add_root(*generation, *spki_hash, moment),
        }
    }

    fn add_credential(&mut self, keys: &CredentialKeys, added: Moment) -> Result<(), LogFault> {
        if !self.credential_ids.insert(keys.id) {
            return Err(LogFault::DuplicateCredential);
        }
        for key in [keys.authentication, keys.signature, keys.encryption] {
            self.claim_key(key)?;
        }
        self.credentials.push(CredentialRecord { keys: keys.clone(), added, revoked: None });
        Ok(())
    }

    fn revoke_credential(&mut self, id: &CredentialId, moment: Moment) -> Result<(), LogFault> {
        let mut live = self.credentials.iter_mut().filter(|record| record.is_live());
        let record = live.find(|record| record.keys.id == *id).ok_or(LogFault::UnknownCredential)?;
        record.revoked = Some(moment);
        let someone_can_sign =
            self.credentials.iter().any(|record| record.is_live() && is_permanent(record.keys.kind));
        if someone_can_sign { Ok(()) } else { Err(LogFault::LastCredential) }
    }

    fn add_root(&mut self, generation: u32, spki_hash: SpkiHash, since: Moment) -> Result<(), LogFault> {
        let expected = self.roots.last().map_or(Some(1), |root| root.generation.checked_add(1));
        if Some(generation) != expected {
            return Err(LogFault::WrongGeneration);
        }
        self.claim_key(spki_hash)?;
        self.roots.push(RootRecord { generation, spki_hash, since });
        Ok(())
    }

    /// One key, one role, once in the life of an account.
    fn claim_key(&mut self, key: SpkiHash) -> Result<(), LogFault> {
        if self.keys.insert(key) { Ok(()) } else { Err(LogFault::DuplicateKey) }
    }

    fn into_state(mut self) -> Option<AccountState> {
        Some(AccountState {
            uid: self.uid,
            kind: self.kind,
            genesis: self.genesis,
            head: self.head,
            length: self.next_index,
            last_time: self.last_time,
            credentials: self.credentials,
            current_root: self.roots.pop()?,
            earlier_roots: self.roots,
        })
    }
}

/// An added credential proves possession of its signature key; nothing else carries a proof.
fn check_possession(entry: &Entry) -> Result<(), LogFault> {
    match (&entry.body().change, entry.possession()) {
        (Change::AddCredential(keys), Some(possession)) if possession.key.hash() == keys.signature => {
            entry.verify_possession(possession).map_err(|_| LogFault::BadSignature)
        }
        (Change::AddCredential(_), _) | (_, Some(_)) => Err(LogFault::Possession),
        (_, None) => Ok(()),
    }
}
