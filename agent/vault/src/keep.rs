//! What the vault holds: open sessions and pending accounts, each under a random handle.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use life_credentials::{RootCredential, SigningCredential, SoftwareCertificate};
use life_pki::account_log::CredentialId;
use life_pki::{ParticipantKind, PrivateKey, Uid};
use life_sys::secret::{Key256, SecretBytes};
use life_vault_protocol::table::{Next, lookup};
use life_vault_protocol::{RequestKind, State, VaultError};

use crate::lockings::{Epoch, Lockings};

/// The most sessions at once.
pub(crate) const MAX_SESSIONS: usize = 68;
/// The most pending accounts at once.
pub(crate) const MAX_PENDINGS: usize = 16;
/// How long a pending account is kept: a registration that takes longer begins again.
pub(crate) const PENDING_LIFE: Duration = Duration::from_secs(60 * 60);

/// How far a session has come. Dropping a stage wipes its keys.
pub(crate) enum Stage {
    /// Its keys are wiped; a request that was under way finds nothing any more.
    Locked,
    /// The working credential is open.
    Opened(Box<SoftwareCertificate>),
    /// The root credential is; of the working one the keys that sign.
    Unlocked(Box<(SigningCredential, RootCredential)>),
}

life_sys::secret_types!(Stage);

impl Stage {
    fn state(&self) -> Result<State, VaultError> {
        match self {
            Self::Locked => Err(VaultError::UnknownSession),
            Self::Opened(_) => Ok(State::Opened),
            Self::Unlocked(_) => Ok(State::Unlocked),
        }
    }

    /// The keys that sign, open in both states.
    pub(crate) fn signing(&self) -> Result<&SigningCredential, VaultError> {
        match self {
            Self::Locked => Err(VaultError::UnknownSession),
            Self::Opened(working) => Ok(working.signing()),
            Self::Unlocked(both) => Ok(&both.0),
        }
    }

    /// The whole working credential, before it has opened the root credential.
    fn opened(&self) -> Result<&SoftwareCertificate, VaultError> {
        match self {
            Self::Opened(working) => Ok(working),
            _ => Err(VaultError::WrongState),
        }
    }

    /// The root credential.
    pub(crate) fn root(&self) -> Result<&RootCredential, VaultError> {
        match self {
            Self::Unlocked(both) => Ok(&both.1),
            _ => Err(VaultError::WrongState),
        }
    }
}

/// An account whose keys exist nowhere else yet.
pub(crate) struct Pending {
    pub(crate) uid: Uid,
    pub(crate) kind: ParticipantKind,
    pub(crate) credential_id: CredentialId,
    pub(crate) authentication: PrivateKey,
    pub(crate) signature: PrivateKey,
    pub(crate) encryption: PrivateKey,
    pub(crate) root: PrivateKey,
    pub(crate) history_key: Key256,
    /// What its software certificate will be protected with.
    pub(crate) passphrase: SecretBytes,
    /// When it was made.
    pub(crate) since: Instant,
    pub(crate) committed: Mutex<Option<Commitment>>,
}

life_sys::secret_types!(Pending);

/// What a commit made, kept to give the same bytes again.
#[derive(Clone)]
pub(crate) struct Commitment {
    pub(crate) log: Vec<Vec<u8>>,
    pub(crate) seal: Vec<u8>,
}

impl Pending {
    fn state(&self) -> State {
        if self.commitment().is_some() { State::Committed } else { State::Generated }
    }

    pub(crate) fn commitment(&self) -> MutexGuard<'_, Option<Commitment>> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All sessions and pending accounts.
#[derive(Default)]
pub(crate) struct Keep {
    sessions: Mutex<Sessions>,
    pendings: Mutex<HashMap<u64, Arc<Pending>>>,
    /// The present moment, for who need not look at the rest.
    epoch: AtomicU64,
}

#[derive(Default)]
struct Sessions {
    open: HashMap<u64, Session>,
    lockings: Lockings,
}

/// A session, and whose it is.
struct Session {
    uid: Uid,
    stage: Arc<RwLock<Stage>>,
}

impl Keep {
    /// The number of sessions and pending accounts.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (guard(&self.sessions).open.len(), guard(&self.pendings).len())
    }

    /// The present moment: what is opened for a request that came in then counts only if its user was not locked since.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    /// Checks that there is room for one more session; [`Keep::add_session`] checks again.
    pub(crate) fn session_room(&self) -> Result<(), VaultError> {
        if guard(&self.sessions).open.len() < MAX_SESSIONS {
            Ok(())
        } else {
            Err(VaultError::TooManySessions)
        }
    }

    /// Checks that there is room for one more pending account; [`Keep::add_pending`] checks again.
    pub(crate) fn pending_room(&self) -> Result<(), VaultError> {
        if guard(&self.pendings).len() < MAX_PENDINGS { Ok(()) } else { Err(VaultError::TooManyPendings) }
    }

    /// Keeps an open credential, unless its user was locked since its request came in.
    pub(crate) fn add_session(&self, opened: SoftwareCertificate, since: Epoch) -> Result<u64, VaultError> {
        let uid = opened.uid();
        let mut sessions = guard(&self.sessions);
        if sessions.lockings.since(since, uid) {
            return Err(VaultError::SecretWithdrawn);
        }
        let handle = fresh_handle(&sessions.open, MAX_SESSIONS).ok_or(VaultError::TooManySessions)?;
        let stage = Arc::new(RwLock::new(Stage::Opened(Box::new(opened))));
        sessions.open.insert(handle, Session { uid, stage });
        Ok(handle)
    }

    /// Keeps a pending account.
    pub(crate) fn add_pending(&self, pending: Pending) -> Result<u64, VaultError> {
        let mut pendings = guard(&self.pendings);
        let handle = fresh_handle(&pendings, MAX_PENDINGS).ok_or(VaultError::TooManyPendings)?;
        pendings.insert(handle, Arc::new(pending));
        Ok(handle)
    }

    /// Runs an operation on a session that the table allows in its state; others may run beside it.
    pub(crate) fn with_session<T>(
        &self,
        handle: u64,
        request: RequestKind,
        operation: impl FnOnce(&Stage) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let session = self.session(handle)?;
        let stage = session.read().map_err(|_| VaultError::Internal)?;
        permit(stage.state()?, request)?;
        operation(&stage)
    }

    /// Opens the root credential of a session: the one step from Opened to Unlocked. Nothing runs beside it.
    pub(crate) fn unlock_root<T>(
        &self,
        handle: u64,
        open: impl FnOnce(&SoftwareCertificate) -> Result<(RootCredential, T), VaultError>,
    ) -> Result<T, VaultError> {
        let session = self.session(handle)?;
        let mut stage = session.write().map_err(|_| VaultError::Internal)?;
        permit(stage.state()?, RequestKind::OpenRoot)?;
        let (root, answer) = open(stage.opened()?)?;
        *stage = match std::mem::replace(&mut *stage, Stage::Locked) {
            Stage::Opened(working) => Stage::Unlocked(Box::new((working.into_signing(), root))),
            other => other,
        };
        Ok(answer)
    }

    /// Forgets a session and wipes its keys; returns when no operation uses them any more.
    pub(crate) fn lock(&self, handle: u64) -> Result<(), VaultError> {
        let session = guard(&self.sessions).open.remove(&handle).ok_or(VaultError::UnknownSession)?;
        wipe(&session.stage);
        Ok(())
    }

    /// Forgets the sessions of a user, or of everybody, and wipes their keys; says which they were. Pending accounts
    /// stay, until they expire: they are no unlocked credentials, and their registration would be lost.
    pub(crate) fn lock_all(&self, of: Option<Uid>) -> Vec<u64> {
        let sessions: Vec<_> = {
            let mut sessions = guard(&self.sessions);
            let Epoch(now) = sessions.lockings.note(of);
            self.epoch.store(now, Ordering::SeqCst);
            sessions.open.extract_if(|_, session| of.is_none_or(|uid| session.uid == uid)).collect()
        };
        sessions.iter().for_each(|(_, session)| wipe(&session.stage));
        sessions.into_iter().map(|(handle, _)| handle).collect()
    }

    /// A pending account that the table allows the request for.
    pub(crate) fn pending(&self, handle: u64, request: RequestKind) -> Result<Arc<Pending>, VaultError> {
        let pending = guard(&self.pendings).get(&handle).cloned().ok_or(VaultError::UnknownPending)?;
        permit(pending.state(), request)?;
        Ok(pending)
    }

    /// Takes a pending account out of the table for an operation that ends it, so that no other finds it meanwhile.
    /// Unless the operation gives something, also when it panics, it goes back.
    pub(crate) fn end_pending<T>(
        &self,
        handle: u64,
        request: RequestKind,
        operation: impl FnOnce(&Pending) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let mut taken = {
            let mut pendings = guard(&self.pendings);
            let pending = pendings.get(&handle).ok_or(VaultError::UnknownPending)?;
            permit(pending.state(), request)?;
            Taken { keep: self, handle, pending: pendings.remove(&handle) }
        };
        let pending = taken.pending.as_deref().ok_or(VaultError::UnknownPending)?;
        let given = operation(pending)?;
        taken.pending = None;
        Ok(given)
    }

    /// Forgets pending accounts that have become too old; says when the next one will be.
    pub(crate) fn expire_pendings(&self, now: Instant) -> Option<Instant> {
        let mut pendings = guard(&self.pendings);
        pendings.retain(|_, pending| now < pending.since + PENDING_LIFE);
        pendings.values().map(|pending| pending.since + PENDING_LIFE).min()
    }

    /// Forgets all pending accounts: nobody will ask for them any more.
    pub(crate) fn clear_pendings(&self) {
        guard(&self.pendings).clear();
    }

    /// Forgets a pending account; its keys are wiped when the last operation is through with them.
    pub(crate) fn remove_pending(&self, handle: u64) {
        guard(&self.pendings).remove(&handle);
    }

    fn session(&self, handle: u64) -> Result<Arc<RwLock<Stage>>, VaultError> {
        let sessions = guard(&self.sessions);
        sessions.open.get(&handle).map(|session| session.stage.clone()).ok_or(VaultError::UnknownSession)
    }
}

/// A pending account that an operation may be about to end.
struct Taken<'a> {
    keep: &'a Keep,
    handle: u64,
    pending: Option<Arc<Pending>>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.take() {
            guard(&self.keep.pendings).insert(self.handle, pending);
        }
    }
}

/// Looks the request up in the table.
pub(crate) fn permit(state: State, request: RequestKind) -> Result<Next, VaultError> {
    lookup(state, request).ok_or(VaultError::WrongState)
}

/// Waits for running operations and drops the keys, also after a panic in one of them.
fn wipe(session: &RwLock<Stage>) {
    *session.write().unwrap_or_else(PoisonError::into_inner) = Stage::Locked;
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A random handle, not 0 and not in use; none when the table is full or the generator fails.
fn fresh_handle<T>(table: &HashMap<u64, T>, max: usize) -> Option<u64> {
    if table.len() >= max {
        return None;
    }
    let mut bytes = [0; 8];
    loop {
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        let handle = u64::from_ne_bytes(bytes);
        if handle != 0 && !table.contains_key(&handle) {
            return Some(handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    const EXPORT: RequestKind = RequestKind::ExportSoftwareCertificate;

    fn keep_with_one() -> (Keep, u64, Instant) {
        let keep = Keep::default();
        let since = Instant::now();
        let key = || PrivateKey::generate_p256().unwrap();
        let pending = Pending {
            uid: Uid::from_random([7; 16]),
            kind: ParticipantKind::Patient,
            credential_id: CredentialId([1; 16]),
            authentication: key(),
            signature: key(),
            encryption: key(),
            root: key(),
            history_key: Key256::take(&mut [2; 32]),
            passphrase: SecretBytes::new(vec![3; 12]),
            since,
            committed: Mutex::new(Some(Commitment { log: vec![], seal: vec![] })),
        };
        let handle = keep.add_pending(pending).unwrap();
        (keep, handle, since)
    }

    #[test]
    fn a_pending_account_ends_once() {
        let (keep, handle, _) = keep_with_one();
        let again = keep.end_pending(handle, EXPORT, |_| {
            // Another that comes meanwhile, by the same way or any other.
            assert_eq!(
                keep.pending(handle, RequestKind::CommitAccount).err(),
                Some(VaultError::UnknownPending)
            );
            keep.end_pending(handle, EXPORT, |_| Ok(()))
        });
        assert_eq!(again.err(), Some(VaultError::UnknownPending));
        // A failure and a panic give it back.
        assert_eq!(keep.counts(), (0, 1));
        let broken = || {
            keep.end_pending(handle, EXPORT, |_| -> Result<(), _> { std::panic::resume_unwind(Box::new(())) })
        };
        assert!(catch_unwind(AssertUnwindSafe(broken)).is_err());
        assert_eq!(keep.counts(), (0, 1));
        keep.end_pending(handle, EXPORT, |_| Ok(())).unwrap();
        assert_eq!(keep.counts(), (0, 0));
    }

    #[test]
    fn pending_accounts_expire_and_are_cleared() {
        let (keep, handle, since) = keep_with_one();
        assert_eq!(keep.expire_pendings(since + PENDING_LIFE / 2), Some(since + PENDING_LIFE));
        keep.lock_all(None);
        assert!(keep.pending(handle, EXPORT).is_ok());
        assert_eq!(keep.expire_pendings(since + PENDING_LIFE), None);
        assert_eq!(keep.counts(), (0, 0));
        let (keep, ..) = keep_with_one();
        keep.clear_pendings();
        assert_eq!(keep.counts(), (0, 0));
    }
}
