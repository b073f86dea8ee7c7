//! The one thread that waits, for secrets and for time to pass, so that nothing else ever does.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use life_sys::secret::SecretBytes;
use life_vault_protocol::{RequestKind, VaultError};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::secret_source::{Interest, Source};
use crate::slow::{NewAccount, PendingCertificate};
use crate::thread::Desk;

/// The most waits at once.
const MAX_WAITS: usize = 16;

/// A secret that is awaited.
pub(crate) struct Wait {
    /// The frame it belongs to.
    pub(crate) id: u64,
    pub(crate) since: Instant,
    pub(crate) deadline: Instant,
    pub(crate) source: Source,
    pub(crate) purpose: Purpose,
}

life_sys::secret_types!(Wait);

/// What a secret is awaited for.
pub(crate) enum Purpose {
    Generate(NewAccount),
    Open(PendingCertificate),
}

impl Purpose {
    /// The request it comes from.
    pub(crate) fn kind(&self) -> RequestKind {
        match self {
            Self::Generate(_) => RequestKind::GenerateAccount,
            Self::Open(_) => RequestKind::OpenSoftwareCertificate,
        }
    }
}

#[derive(Default)]
struct Shared {
    /// The frames whose answer still belongs to their wait, which ends when they are answered: whoever removes one
    /// answers it.
    open: HashSet<u64>,
    incoming: Vec<Wait>,
    closed: bool,
}

life_sys::secret_types!(Shared);

/// The waits, shared between quick workers and the waiting thread.
pub(crate) struct Waiter {
    shared: Mutex<Shared>,
    wake: OwnedFd,
}

life_sys::secret_types!(Waiter);

impl Waiter {
    pub(crate) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { shared: Mutex::default(), wake })
    }

    /// Announces a wait. It is done while the request is being read, so that whatever is read after it (a
    /// cancellation, a lock) finds it.
    pub(crate) fn reserve(&self, id: u64) -> Result<(), VaultError> {
        let mut shared = self.shared();
        if shared.open.len() >= MAX_WAITS {
            return Err(VaultError::Busy);
        }
        if shared.open.insert(id) { Ok(()) } else { Err(VaultError::Malformed) }
    }

    /// Begins a wait that was announced, or goes on with one. One that was given up meanwhile is dropped by the thread.
    pub(crate) fn add(&self, wait: Wait) {
        self.shared().incoming.push(wait);
        self.wake();
    }

    /// Gives a wait up; says whether there was one, which the caller then answers.
    pub(crate) fn withdraw(&self, id: u64) -> bool {
        let found = self.shared().open.remove(&id);
        self.wake();
        found
    }

    /// Gives all waits up, and says which; the caller answers them.
    pub(crate) fn withdraw_all(&self) -> Vec<u64> {
        let ids = self.shared().open.drain().collect();
        self.wake();
        ids
    }

    /// Ends the waiting thread.
    pub(crate) fn close(&self) {
        self.shared().closed = true;
        self.wake();
    }

    /// The waiting thread: hands each secret over as it comes. Between waits it calls `expire`, which says when it
    /// wants to be called at the latest.
    pub(crate) fn run(
        &self,
        desk: &Desk,
        hand_over: impl Fn(Wait, Result<SecretBytes, VaultError>),
        expire: impl Fn(Instant) -> Option<Instant>,
    ) {
        let mut waits: Vec<Wait> = Vec::new();
        loop {
            {
                let mut shared = self.shared();
                if shared.closed {
                    return;
                }
                waits.append(&mut shared.incoming);
                // What was given up is dropped, and its descriptors closed.
                waits.retain(|wait| shared.open.contains(&wait.id));
            }
            let ready = match self.wait_for_any(&waits, expire(Instant::now())) {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "waiting for secrets failed");
                    vec![false; waits.len()]
                }
            };
            waits = step(waits, ready, &hand_over);
            desk.clear();
        }
    }

    /// Sleeps until a source is ready, a deadline passes or somebody calls; says which sources are ready.
    fn wait_for_any(&self, waits: &[Wait], latest: Option<Instant>) -> io::Result<Vec<bool>> {
        let mut polled = vec![PollFd::new(&self.wake, PollFlags::IN)];
        for wait in waits {
            let (fd, interest) = wait.source.interest();
            let flags = match interest {
                Interest::Readable => PollFlags::IN,
                Interest::Writable => PollFlags::OUT,
            };
            polled.push(PollFd::from_borrowed_fd(fd, flags));
        }
        let now = Instant::now();
        let next = waits.iter().map(|wait| wait.deadline).chain(latest).min();
        let timeout = next.map(|next| next.saturating_duration_since(now));
        let timeout = timeout.and_then(|left| Timespec::try_from(left + Duration::from_millis(1)).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let mut results = polled.iter().map(|fd| !fd.revents().is_empty());
        if results.next() == Some(true) {
            // A counter: one read clears all calls so far.
            let _ = rustix::io::read(self.wake.as_fd(), &mut [0; 8]);
        }
        Ok(results.collect())
    }

    /// Has the thread look again at what it waits for.
    pub(crate) fn wake(&self) {
        // It only fails when the counter is full, and then the thread is awake.
        let _ = rustix::io::write(self.wake.as_fd(), &1u64.to_ne_bytes());
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes what the ready sources have, and gives back the waits that are not over. Never inlined: what it read is below
/// the caller's frame then, and can be wiped.
#[inline(never)]
fn step(
    waits: Vec<Wait>,
    ready: Vec<bool>,
    hand_over: &impl Fn(Wait, Result<SecretBytes, VaultError>),
) -> Vec<Wait> {
    let now = Instant::now();
    let mut flags = ready.into_iter();
    let mut still = Vec::with_capacity(waits.len());
    for mut wait in waits {
        let outcome = match flags.next() {
            Some(true) => wait.source.step(),
            _ => None,
        };
        match outcome {
            None if now < wait.deadline => still.push(wait),
            None => hand_over(wait, Err(VaultError::SecretTimeout)),
            Some(secret) => hand_over(wait, secret),
        }
    }
    still
}
