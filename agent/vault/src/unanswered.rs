//! Requests with a secret that are not answered yet. Each can be given up until it is: by who takes it from this list, who
//! then answers it, whatever becomes of the work.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use life_pki::Uid;
use life_vault_protocol::{Request, VaultError};

/// The most that wait for somebody at once. Of the others, the queue of slow work has the limit.
const MAX_WAITS: usize = 16;

struct Pending {
    /// The user whose certificate is opened, where that is known.
    opens: Option<Uid>,
    waits: bool,
}

/// The list, by the number of each request's frame.
#[derive(Default)]
pub(crate) struct Unanswered(Mutex<HashMap<u64, Pending>>);

impl Unanswered {
    /// Puts a request on the list, if it is one that belongs there. It is done while the request is being read, so that
    /// whatever is read after it (a cancellation, a lock) finds it.
    ///
    /// # Errors
    /// [`VaultError::Busy`], and [`VaultError::Malformed`] for a number that is on the list.
    pub(crate) fn note(&self, id: u64, request: &Request) -> Result<(), VaultError> {
        let opens = match request {
            Request::GenerateAccount { .. } => None,
            Request::OpenSoftwareCertificate { expected, .. } => *expected,
            _ => return Ok(()),
        };
        let waits = request.descriptors() > 0;
        let mut list = self.list();
        if waits && list.values().filter(|pending| pending.waits).count() >= MAX_WAITS {
            return Err(VaultError::Busy);
        }
        if list.contains_key(&id) {
            return Err(VaultError::Malformed);
        }
        list.insert(id, Pending { opens, waits });
        Ok(())
    }

    /// Whether a request is still to be answered.
    pub(crate) fn holds(&self, id: u64) -> bool {
        self.list().contains_key(&id)
    }

    /// Takes a request from the list; says whether it was there, and then it is the caller's to answer.
    pub(crate) fn take(&self, id: u64) -> bool {
        self.list().remove(&id).is_some()
    }

    /// Takes those that open a certificate of this user; with none, takes all.
    pub(crate) fn take_all(&self, of: Option<Uid>) -> Vec<u64> {
        self.list().extract_if(|_, pending| of.is_none() || pending.opens == of).map(|(id, _)| id).collect()
    }

    fn list(&self) -> MutexGuard<'_, HashMap<u64, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use life_sys::secret::SecretBytes;
    use life_vault_protocol::SecretSource;

    use super::*;

    fn open(expected: Option<Uid>, secret: SecretSource) -> Request {
        Request::OpenSoftwareCertificate { pkcs12: vec![], secret, now: 0, expected }
    }

    #[test]
    fn a_request_is_answered_once_and_a_lock_takes_what_it_concerns() {
        let list = Unanswered::default();
        let [one, two] = [1, 2].map(|n| Some(Uid::from_random([n; 16])));
        let inline = || SecretSource::Inline(SecretBytes::new(vec![1]));
        for (id, expected) in [(1, one), (2, two), (3, None), (4, one)] {
            list.note(id, &open(expected, inline())).unwrap();
        }
        assert_eq!(list.note(1, &open(None, inline())), Err(VaultError::Malformed));
        list.note(9, &Request::Status).unwrap();
        assert!(!list.holds(9), "it is answered at once");
        assert!(list.take(4) && !list.take(4));
        assert_eq!(list.take_all(one), [1]);
        assert!(list.holds(2) && list.holds(3) && !list.holds(1));
        let mut rest = list.take_all(None);
        rest.sort();
        assert_eq!(rest, [2, 3]);
    }

    #[test]
    fn only_so_many_wait_for_somebody() {
        let list = Unanswered::default();
        let awaited = || open(None, SecretSource::Descriptor { timeout_seconds: 1 });
        for id in 0..16 {
            list.note(id, &awaited()).unwrap();
        }
        assert_eq!(list.note(16, &awaited()), Err(VaultError::Busy));
        list.note(17, &open(None, SecretSource::Inline(SecretBytes::new(vec![1])))).unwrap();
    }
}
