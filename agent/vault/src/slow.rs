//! The queue of work that takes long: generating keys, and deriving them from passphrases.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use life_pki::{ParticipantKind, Timestamp, Uid};
use life_sys::secret::SecretBytes;
use life_vault_protocol::{PendingId, RequestKind, VaultError, WorkingKeyAlgorithm};

use crate::keep::Epoch;
use crate::secret_source::Source;

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

    /// Whether everything was locked since it was asked for.
    pub(crate) fn is_void(&self, now: Epoch) -> bool {
        matches!(self, Self::Open { certificate, .. } if certificate.since != now)
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
    /// Whoever gives up the wait that was announced for it.
    Announced,
    /// The same; and where the secret came from can be asked again until then.
    Awaited { source: Source, deadline: Instant },
}

life_sys::secret_types!(Claim);

#[derive(Default)]
struct Queue {
    jobs: VecDeque<SlowJob>,
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

    /// Waits for work; none when the queue was closed.
    pub(crate) fn pop(&self) -> Option<SlowJob> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = self
            .arrived
            .wait_while(queue, |queue| queue.jobs.is_empty() && !queue.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if queue.closed { None } else { queue.jobs.pop_front() }
    }

    /// Drops what waits and sends the workers home.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.closed = true;
        queue.jobs.clear();
        self.arrived.notify_all();
    }
}
