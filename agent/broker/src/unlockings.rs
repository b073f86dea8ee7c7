//! Unlockings that are under way: each ends at once when its user is locked.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use life_pki::Uid;
use tokio_util::sync::CancellationToken;

use crate::error::{Fault, Result};

#[derive(Default)]
struct List {
    last: u64,
    under_way: HashMap<u64, Entry>,
}

struct Entry {
    /// The user, once that is known.
    uid: Option<Uid>,
    end: Arc<End>,
}

/// Whether and why one has to end.
#[derive(Default)]
struct End {
    token: CancellationToken,
    why: OnceLock<Fault>,
}

/// All that are under way.
#[derive(Clone, Default)]
pub struct Unlockings(Arc<Mutex<List>>);

/// One of them, until it is dropped.
pub struct Unlocking {
    list: Unlockings,
    number: u64,
    end: Arc<End>,
}

impl Unlockings {
    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one, for this user where that is known.
    pub fn begin(&self, uid: Option<Uid>) -> Unlocking {
        let end = Arc::new(End::default());
        let mut list = self.list();
        list.last += 1;
        let number = list.last;
        list.under_way.insert(number, Entry { uid, end: end.clone() });
        Unlocking { list: self.clone(), number, end }
    }

    /// Ends those of a user, or all, for this reason.
    pub fn end(&self, uid: Option<Uid>, why: Fault) {
        for entry in self.list().under_way.values() {
            if uid.is_none() || entry.uid == uid {
                // The first reason stays.
                let _ = entry.end.why.set(why);
                entry.end.token.cancel();
            }
        }
    }
}

impl Unlocking {
    /// Says whose it is.
    pub fn is_of(&self, uid: Uid) {
        if let Some(entry) = self.list.list().under_way.get_mut(&self.number) {
            entry.uid = Some(uid);
        }
    }

    /// Does a part of it.
    ///
    /// # Errors
    /// CREDENTIAL_LOCKED as soon as its user is locked, VAULT_UNAVAILABLE when the vault is lost; else what the part gives.
    pub async fn run<T>(&self, part: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            // A part that notices by itself may know better why it ends.
            done = part => done,
            () = self.end.token.cancelled() => Err(match self.end.why.get() {
                Some(Fault::VaultUnavailable) => Fault::VaultUnavailable.into(),
                _ => Fault::CredentialLocked.because("the user was locked meanwhile"),
            }),
        }
    }
}

impl Drop for Unlocking {
    fn drop(&mut self) {
        self.list.list().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_locking_ends_the_unlockings_of_its_user() {
        let unlockings = Unlockings::default();
        let [one, two] = [1, 2].map(|n| Uid::from_random([n; 16]));
        let [first, second, unknown] = [Some(one), Some(two), None].map(|uid| unlockings.begin(uid));
        let ended = async |unlocking: &Unlocking| {
            let forever = std::future::pending::<Result<()>>();
            tokio::select! {
                biased;
                ended = unlocking.run(forever) => ended.err().map(|error| error.fault()),
                () = std::future::ready(()) => None,
            }
        };
        unlockings.end(Some(one), Fault::CredentialLocked);
        assert_eq!(ended(&first).await, Some(Fault::CredentialLocked));
        assert_eq!(ended(&second).await, None);
        assert_eq!(ended(&unknown).await, None);
        unknown.is_of(two);
        unlockings.end(Some(two), Fault::CredentialLocked);
        assert_eq!(ended(&unknown).await, Some(Fault::CredentialLocked));
        let last = unlockings.begin(None);
        unlockings.end(None, Fault::VaultUnavailable);
        unlockings.end(None, Fault::CredentialLocked);
        assert_eq!(ended(&last).await, Some(Fault::VaultUnavailable));
        drop((first, second, unknown, last));
        assert!(unlockings.list().under_way.is_empty());
    }
}
