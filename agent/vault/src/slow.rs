//! The queue of work that takes long: generating keys, and deriving them from passphrases.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use life_pki::{ParticipantKind, Timestamp, Uid};
use life_sys::secret::SecretBytes;
use life_vault_protocol::{PendingId, RequestKind, VaultError, WorkingKeyAlgorithm};

use crate::lockings::Epoch;
use crate::secret_source::Source;
use crate::turns::{Turns, Worker};

/// The most waiting pieces of work.
const MAX_WAITING: usize = 64;

/// One piece of slow work, with the secret it needs.
pub(crate) enum SlowWork {
    Export { pending: PendingId, certificates: Vec<Vec<u8>>, issuers: Vec<Vec<u8>> },
    Generate { account: NewAccount, passphrase: NewPassphrase },
    Open { certificate: PendingCertificate, passphrase: SecretBytes },
}

life_sys::secret_types!(SlowWork);

/// An account that waits for its passphrase.
#[derive(Clone, Copy)]
pub(crate) struct NewAccount {
    pub(crate) uid: Uid,
    pub(crate) kind: ParticipantKind,
    pub(crate) algorithm: WorkingKeyAlgorithm,
}

/// The passphrase of a new software certificate.
pub(crate) enum NewPassphrase {
    Given(SecretBytes),
    /// The vault makes it and delivers it here.
    Made(OwnedFd),
}

life_sys::secret_types!(NewPassphrase);

/// A software certificate that waits for its passphrase.
pub(crate) struct PendingCertificate {
    pub(crate) pkcs12: Vec<u8>,
    pub(crate) now: Timestamp,
    pub(crate) expected: Option<Uid>,
    pub(crate) since: Epoch,
}

impl SlowWork {
    /// The memory that it may need, what it keeps included, in bytes.
    pub(crate) fn memory(&self) -> usize {
        match self {
            // A file is read by two parsers, each of which decrypts and copies what is inside.
            Self::Open { certificate, .. } => 64 * 1024 + 8 * certificate.pkcs12.len(),
            Self::Export { .. } | Self::Generate { .. } => 384 * 1024,
        }
    }

    /// What a lock has to know of it.
    fn concern(&self) -> Concern {
        match self {
            Self::Export { .. } => Concern::Kept,
            Self::Generate { .. } => Concern::Nobody,
            Self::Open { certificate, .. } => Concern::Opening(certificate.expected),
        }
    }

    pub(crate) fn kind(&self) -> RequestKind {
        match self {
            Self::Export { .. } => RequestKind::ExportSoftwareCertificate,
            Self::Generate { .. } => RequestKind::GenerateAccount,
            Self::Open { .. } => RequestKind::OpenSoftwareCertificate,
        }
    }
}

/// Slow work and the frame it answers.
pub(crate) struct SlowJob {
    pub(crate) id: u64,
    pub(crate) since: Instant,
    pub(crate) work: SlowWork,
    pub(crate) claim: Claim,
}

life_sys::secret_types!(SlowJob);

/// Who may answer the frame before the work is done.
pub(crate) enum Claim {
    /// Nobody.
    Ours,
    /// Whoever gives it up.
    Shared,
    /// The same; and where the secret came from can be asked again until then.
    Awaited { source: Source, deadline: Instant },
}

life_sys::secret_types!(Claim);

/// Whom a piece of work concerns that a lock finds running.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Concern {
    /// It works for an account that stays through a lock.
    Kept,
    /// It works with the keys of nobody who is known yet.
    Nobody,
    /// It opens the certificate of this user, or, as long as it is not open, of anybody.
    Opening(Option<Uid>),
}

struct Running {
    worker: Worker,
    concern: Concern,
    /// When a lock first found it.
    found: Option<Instant>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<SlowJob>,
    /// What is being done, or was last, and by whom.
    running: Vec<Running>,
    closed: bool,
}

life_sys::secret_types!(Queue);

/// The queue between quick workers and slow ones.
#[derive(Default)]
pub(crate) struct Slow {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

life_sys::secret_types!(Slow);

impl Slow {
    /// Adds work.
    pub(crate) fn push(&self, job: SlowJob) -> Result<(), VaultError> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.jobs.len() >= MAX_WAITING {
            return Err(VaultError::Busy);
        }
        queue.jobs.push_back(job);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for work, and begins the worker's turn; none when the queue was closed.
    pub(crate) fn pop(&self, worker: Worker, turns: &Turns) -> Option<SlowJob> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = self
            .arrived
            .wait_while(queue, |queue| queue.jobs.is_empty() && !queue.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let job = if queue.closed { None } else { queue.jobs.pop_front() }?;
        // Before anybody can lock, who would find it neither waiting nor running.
        queue.running.retain(|other| other.worker != worker);
        queue.running.push(Running { worker, concern: job.work.concern(), found: None });
        turns.begin(worker, job.id);
        Some(job)
    }

    /// Drops the work that waits and is void.
    pub(crate) fn drop_void(&self, void: impl Fn(u64) -> bool) {
        let mut dropped = Vec::new();
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        for job in std::mem::take(&mut queue.jobs) {
            let ours = matches!(job.claim, Claim::Ours);
            if !ours && void(job.id) { dropped.push(job) } else { queue.jobs.push_back(job) }
        }
        drop(queue);
        // Wiped, and descriptors closed, while nobody waits.
        drop(dropped);
    }

    /// Who works, or did last, on what a lock of this user, or of everybody, concerns; and since when the first of them
    /// has been known to a lock.
    pub(crate) fn concerned(&self, of: Option<Uid>, now: Instant) -> (Vec<Worker>, Instant) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let concerned = |concern: Concern| match (of, concern) {
            (_, Concern::Kept) => false,
            (None, _) => true,
            (Some(_), Concern::Nobody) => false,
            // Whose it is will be known when it is open.
            (Some(uid), Concern::Opening(whose)) => whose.is_none_or(|whose| whose == uid),
        };
        let mut first = now;
        let running = queue.running.iter_mut().filter(|running| concerned(running.concern));
        let workers = running.map(|running| {
            first = first.min(*running.found.get_or_insert(now));
            running.worker
        });
        (workers.collect(), first)
    }

    /// Whether an account that stays through a lock is being packed, or waits for that.
    pub(crate) fn keeps_accounts(&self, turns: &Turns) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let packed = |running: &Running| running.concern == Concern::Kept && turns.is_at_work(running.worker);
        queue.running.iter().any(packed) || queue.jobs.iter().any(|job| job.work.concern() == Concern::Kept)
    }

    /// Drops what waits and sends the workers home.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.closed = true;
        queue.jobs.clear();
        self.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn job(id: u64, work: SlowWork) -> SlowJob {
        SlowJob { id, since: Instant::now(), work, claim: Claim::Shared }
    }

    fn opening(expected: Option<Uid>) -> SlowWork {
        let now = Timestamp::from_unix(1_800_000_000).unwrap();
        let certificate = PendingCertificate { pkcs12: Vec::new(), now, expected, since: Epoch::default() };
        SlowWork::Open { certificate, passphrase: SecretBytes::new(b"a passphrase".to_vec()) }
    }

    #[test]
    fn work_is_known_to_the_locks_since_the_first_that_found_it() {
        let (slow, turns) = (Slow::default(), Turns::default());
        let [worker, other] = [0, 1].map(Worker::Slow);
        let [one, two] = [1, 2].map(|n| Uid::from_random([n; 16]));
        let first = Instant::now();
        let [second, third] = [1, 2].map(|seconds| first + Duration::from_secs(seconds));
        slow.push(job(1, opening(Some(one)))).unwrap();
        slow.pop(worker, &turns).unwrap();
        assert_eq!(slow.concerned(Some(two), first), (vec![], first), "it is another user's");
        assert_eq!(slow.concerned(Some(one), first), (vec![worker], first));
        assert_eq!(slow.concerned(None, second), (vec![worker], first));
        // The next piece of work is new to them.
        slow.push(job(2, opening(None))).unwrap();
        slow.pop(other, &turns).unwrap();
        assert_eq!(slow.concerned(Some(two), second), (vec![other], second));
        slow.push(job(3, opening(Some(one)))).unwrap();
        slow.pop(worker, &turns).unwrap();
        assert_eq!(slow.concerned(Some(one), third), (vec![other, worker], second));
    }

    #[test]
    fn an_account_is_kept_while_it_waits_to_be_packed_and_is_packed() {
        let (slow, turns) = (Slow::default(), Turns::default());
        let export =
            SlowWork::Export { pending: PendingId(7), certificates: Vec::new(), issuers: Vec::new() };
        assert!(!slow.keeps_accounts(&turns));
        slow.push(job(1, export)).unwrap();
        assert!(slow.keeps_accounts(&turns));
        slow.pop(Worker::Slow(0), &turns).unwrap();
        assert!(slow.keeps_accounts(&turns));
        turns.end(Worker::Slow(0));
        assert!(!slow.keeps_accounts(&turns));
    }
}
