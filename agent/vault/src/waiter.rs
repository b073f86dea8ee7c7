//! The one thread that waits, for secrets and for time to pass, so that nothing else ever does.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use life_sys::secret::SecretBytes;
use life_vault_protocol::{RequestKind, VaultError};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::secret_source::{Interest, Source};
use crate::slow::{NewAccount, PendingCertificate};
use crate::thread::Desk;
use crate::turns;

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
    incoming: Vec<Wait>,
    /// How often somebody wanted what was given up to be dropped.
    asked: u64,
    closed: bool,
}

life_sys::secret_types!(Shared);

/// The waits, shared between quick workers and the waiting thread.
pub(crate) struct Waiter {
    shared: Mutex<Shared>,
    /// Up to which such wish it was.
    dropped: AtomicU64,
    wake: OwnedFd,
}

life_sys::secret_types!(Waiter);

impl Waiter {
    pub(crate) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { shared: Mutex::default(), dropped: AtomicU64::default(), wake })
    }

    /// Begins a wait, or goes on with one. One that was given up meanwhile is dropped by the thread.
    pub(crate) fn add(&self, wait: Wait) {
        self.shared().incoming.push(wait);
        self.wake();
    }

    /// Waits until the thread has dropped all that was given up, and is wiped.
    pub(crate) fn settle(&self) {
        let asked = {
            let mut shared = self.shared();
            shared.asked += 1;
            shared.asked
        };
        self.wake();
        turns::wait(None, || self.dropped.load(Ordering::SeqCst) >= asked);
    }

    /// Ends the waiting thread.
    pub(crate) fn close(&self) {
        self.shared().closed = true;
        self.wake();
    }

    /// The waiting thread: hands each secret over as it comes, as long as its request is `open`. Between waits it calls
    /// `expire`, which says when it wants to be called at the latest.
    pub(crate) fn run(
        &self,
        desk: &Desk,
        open: impl Fn(u64) -> bool,
        hand_over: impl Fn(Wait, Result<SecretBytes, VaultError>),
        expire: impl Fn(Instant) -> Option<Instant>,
    ) {
        let _gone = Gone(&self.dropped);
        let mut waits: Vec<Wait> = Vec::new();
        loop {
            let asked = {
                let mut shared = self.shared();
                if shared.closed {
                    return;
                }
                waits.append(&mut shared.incoming);
                shared.asked
            };
            // What was given up is dropped, and its descriptors closed.
            waits.retain(|wait| open(wait.id));
            desk.clear();
            self.dropped.store(asked, Ordering::SeqCst);
            let ready = match self.wait_for_any(&waits, expire(Instant::now())) {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "waiting for secrets failed");
                    vec![false; waits.len()]
                }
            };
            waits = step(waits, ready, &hand_over);
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

/// Says at the thread's end that it has nothing any more.
struct Gone<'a>(&'a AtomicU64);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.store(u64::MAX, Ordering::SeqCst);
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
