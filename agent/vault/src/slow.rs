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

#[derive(Default)]
struct Queue {
    jobs: VecDeque<SlowJob>,
    /// What is being done, and by whom.
    running: Vec<(Worker, Concern)>,
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
        queue.running.retain(|(other, _)| *other != worker);
        queue.running.push((worker, job.work.concern()));
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

    /// Who works, or did last, on what a lock of this user, or of everybody, concerns.
    pub(crate) fn concerned(&self, of: Option<Uid>) -> Vec<Worker> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let concerned = |concern: Concern| match (of, concern) {
            (_, Concern::Kept) => false,
            (None, _) => true,
            (Some(_), Concern::Nobody) => false,
            // Whose it is will be known when it is open.
            (Some(uid), Concern::Opening(whose)) => whose.is_none_or(|whose| whose == uid),
        };
        queue.running.iter().filter(|(_, concern)| concerned(*concern)).map(|(worker, _)| *worker).collect()
    }

    /// Drops what waits and sends the workers home.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.closed = true;
        queue.jobs.clear();
        self.arrived.notify_all();
    }
}
