//! The link to the vault: many calls at once over one socket, each answered by its number.
//!
//! When the link breaks, every waiting call fails at once, and calls fail until a fresh vault is linked.

mod waiting;

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use life_sys::descriptors::send_with_fds;
use life_sys::sandbox::Protection;
use life_sys::secret::SecretBytes;
use life_vault_protocol::{
    FrameDecoder, MemoryUse, Request, RequestKind, Response, VaultError, encode_request,
};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroize;

use waiting::{Waiting, limit_of};

use super::awake::Awake;
use super::keeper::Fresh;
use crate::error::{Error, Fault, Result};
use crate::quiet::{self, Room};

/// Frames that may wait to be written: more than the calls an agent can have at once. Queueing never waits, so that
/// a caller that goes away cannot take a frame back.
const QUEUE: usize = 8192;
/// How long locking may take: a vault that needs longer is replaced, and the keys go with its process.
const LOCK_LIMIT: Duration = Duration::from_secs(2);
/// How long a vault that is lost may take to be replaced.
const REPLACE_LIMIT: Duration = Duration::from_secs(5);
/// How long the last word of a vault that takes nothing any more is waited for.
const LAST_WORD_LIMIT: Duration = Duration::from_secs(1);
/// How long a call that needs no session waits for a vault that is just starting.
const START_LIMIT: Duration = Duration::from_secs(2);

/// How old the vault's word on itself may be, and how long it is waited for.
const REPORT_AGE: Duration = Duration::from_secs(1);
const REPORT_PATIENCE: Duration = Duration::from_secs(1);

/// The vault, as the rest of the broker sees it.
#[derive(Clone, Default)]
pub struct Vault(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The number of the last request; none has 0.
    last: AtomicU64,
    state: Mutex<State>,
    /// The process behind the link: its id and when it was linked.
    process: watch::Sender<Option<(u32, SystemTime)>>,
    awake: Awake,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    /// Why the last vault did not start, if it said so.
    refused: Option<VaultError>,
    waiting: HashMap<u64, oneshot::Sender<Response>>,
    /// What the vault behind the link last said of its memory and its protection, and when.
    report: Option<(Instant, MemoryUse, Protection)>,
}

#[derive(Clone)]
struct Link {
    queue: mpsc::Sender<Outgoing>,
    /// Ends the link, whatever it is doing.
    closed: CancellationToken,
}

struct Outgoing {
    frame: SecretBytes,
    descriptors: Vec<OwnedFd>,
}

life_sys::secret_types!(Outgoing);

impl Vault {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process behind the link: its id and when it was linked.
    pub fn process(&self) -> Option<(u32, SystemTime)> {
        *self.0.process.borrow()
    }

    /// What the vault says of its memory, as of at most a second ago, and of its protection: whoever asks for the status often
    /// does not pay for the way to the vault each time. While it does not answer, only how it is protected is known, if
    /// it said so before.
    pub async fn report(&self) -> (Option<MemoryUse>, Option<Protection>) {
        let known = self.state().report;
        if let Some((_, memory, protection)) = known.filter(|(at, ..)| at.elapsed() < REPORT_AGE) {
            return (Some(memory), Some(protection));
        }
        let before = self.process();
        let Ok(Ok((memory, protection))) = tokio::time::timeout(REPORT_PATIENCE, self.answers()).await else {
            return (None, known.map(|(.., protection)| protection));
        };
        let mut state = self.state();
        // Another vault may have come meanwhile.
        if self.process() == before {
            state.report = Some((Instant::now(), memory, protection));
        }
        (Some(memory), Some(protection))
    }

    /// Waits a little for a vault that is just starting.
    ///
    /// # Errors
    /// VAULT_UNAVAILABLE when there is none by then.
    pub async fn linked(&self) -> Result<()> {
        let mut process = self.0.process.subscribe();
        let linked = tokio::time::timeout(START_LIMIT, process.wait_for(Option::is_some)).await;
        if matches!(linked, Ok(Ok(_))) { Ok(()) } else { Err(self.unavailable()) }
    }

    /// Why there is no vault.
    fn unavailable(&self) -> Error {
        match self.state().refused {
            Some(VaultError::MemoryNotLocked) => Fault::VaultUnavailable
                .because("it may not lock as much memory as it needs to keep keys out of swap and dumps")
                .told_as(
                    "the vault does not start",
                    "raise RLIMIT_MEMLOCK to 8 MiB or more (`ulimit -l 8192`, or LimitMEMLOCK= of the service) and start the \
                     agent again",
                )
                .with("limit", "RLIMIT_MEMLOCK"),
            _ => Fault::VaultUnavailable.into(),
        }
    }

    /// The same error, or where it is that there is no vault, why there is none, if one has said so.
    pub fn explained(&self, error: Error) -> Error {
        let explains = error.fault() == Fault::VaultUnavailable && self.state().refused.is_some();
        if explains { self.unavailable() } else { error }
    }

    /// Sends a request and waits for its answer. When that does not come in time the link is closed: a vault that
    /// hangs is replaced. Not so for what waits for cards: those may be slow, or never change.
    ///
    /// # Errors
    /// VAULT_UNAVAILABLE when there is no vault or it dies meanwhile; what the vault answered, as a fault.
    pub async fn call(&self, request: &Request, descriptors: Vec<OwnedFd>) -> Result<Response> {
        let limit = limit_of(request);
        let waiting = self.post(request, descriptors)?;
        match limit {
            Some(limit) => waiting.answer_within(limit).await,
            None => waiting.answer().await,
        }
    }

    /// Queues a request at once, so that it goes out even if nobody waits for the answer.
    fn post(&self, request: &Request, descriptors: Vec<OwnedFd>) -> Result<Waiting> {
        let given_up =
            matches!(request.kind(), RequestKind::GenerateAccount | RequestKind::OpenSoftwareCertificate);
        let id = self.0.last.fetch_add(1, Ordering::Relaxed) + 1;
        let frame = encode_request(id, request).map_err(|_| Fault::MessageTooLarge)?;
        let (sender, receiver) = oneshot::channel();
        let (link, under_way) = {
            let mut state = self.state();
            let link = state.link.clone();
            if link.is_some() {
                state.waiting.insert(id, sender);
            }
            (link, state.waiting.len())
        };
        let link = link.ok_or_else(|| self.unavailable())?;
        let waiting = Waiting { vault: self.clone(), id, given_up, receiver, closed: link.closed.clone() };
        if link.queue.try_send(Outgoing { frame, descriptors }).is_err() {
            // It has not read for very long, or is gone.
            link.closed.cancel();
            return Err(Fault::VaultUnavailable.into());
        }
        self.0.awake.asked(under_way);
        Ok(waiting)
    }

    /// Sends a request whose answer nobody waits for.
    pub fn tell(&self, request: &Request) {
        let _ = self.post(request, Vec::new());
    }

    /// Locks one user or all; the request goes out even if the caller goes away. Returns when the keys are wiped,
    /// or the process that had them is gone and a fresh one is there.
    ///
    /// # Errors
    /// VAULT_UNAVAILABLE when the vault neither answers nor is replaced.
    pub fn locking(&self, request: &Request) -> impl Future<Output = Result<()>> + use<> {
        let before = self.process();
        let posted = self.post(request, Vec::new());
        let vault = self.clone();
        async move {
            if let Ok(waiting) = posted {
                let closed = waiting.closed.clone();
                match waiting.answer_within(LOCK_LIMIT).await {
                    Ok(Response::Done) => return Ok(()),
                    // A session that the vault does not know is locked.
                    Err(error) if error.fault() == Fault::CredentialLocked => return Ok(()),
                    // A vault that does not lock is replaced, whatever it says.
                    _ => closed.cancel(),
                }
            }
            let mut process = vault.0.process.subscribe();
            let replaced = process.wait_for(|now| now.is_some() && (before.is_none() || *now != before));
            match tokio::time::timeout(REPLACE_LIMIT, replaced).await {
                Ok(Ok(_)) => Ok(()),
                _ => Err(Fault::VaultUnavailable.because("it neither answered nor was replaced in time")),
            }
        }
    }

    /// Serves a fresh vault until its link breaks or is closed; then every waiting call has failed.
    pub async fn serve(&self, fresh: Fresh) {
        let writer = fresh.socket.as_fd().try_clone_to_owned();
        let (Ok(writer), Ok(reader)) = (writer, quiet::reader(fresh.socket)) else {
            return tracing::error!("the vault's socket cannot be used");
        };
        let (queue, outgoing) = mpsc::channel(QUEUE);
        let closed = CancellationToken::new();
        self.state().link = Some(Link { queue, closed: closed.clone() });
        self.0.process.send_replace(Some((fresh.pid, SystemTime::now())));
        let mut reading = pin!(self.read(reader));
        let ended = tokio::select! {
            ended = &mut reading => ended,
            ended = write(writer, outgoing) => {
                // Gone: its last word, which may be why, is still to be read.
                let _ended = tokio::time::timeout(LAST_WORD_LIMIT, &mut reading).await;
                ended
            }
            () = self.0.awake.keep(|| self.state().waiting.len()) => Ok(()),
            () = closed.cancelled() => Ok(()),
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the link to the vault broke");
        }
        self.unlink();
    }

    /// Closes the link: the vault ends.
    pub fn close(&self) {
        self.unlink();
    }

    fn unlink(&self) {
        let mut state = self.state();
        if let Some(link) = state.link.take() {
            link.closed.cancel();
        }
        state.report = None;
        self.0.process.send_replace(None);
        // Those who wait look at the link when they wake.
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        drop(waiting);
    }

    async fn read(&self, mut reader: Receiver) -> io::Result<()> {
        let mut decoder = FrameDecoder::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = reader.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            let mut input = buffer.get(..count).unwrap_or_default();
            while let Some(frame) = decoder.next_frame(&mut input).map_err(io::Error::other)? {
                // EXPOSE: decoded at once; a content key goes from here into a type of its own.
                let response = Response::decode(frame.body.expose()).map_err(io::Error::other)?;
                self.deliver(frame.id, response);
            }
            // A content key may have been in it.
            buffer.get_mut(..count).unwrap_or_default().zeroize();
        }
    }

    fn deliver(&self, id: u64, response: Response) {
        let waiting = {
            let mut state = self.state();
            state.refused = match &response {
                // It will end, and says why.
                Response::Error(error) if id == 0 => Some(*error),
                _ => None,
            };
            state.waiting.remove(&id)
        };
        if let (0, Response::Error(error)) = (id, &response) {
            return tracing::error!(%error, "the vault does not start");
        }
        let unclaimed = match waiting {
            Some(sender) => sender.send(response).err(),
            None => Some(response),
        };
        if let Some(response) = unclaimed {
            self.reclaim(response);
        }
    }

    /// Nobody waits any more: what the answer opened must not stay open.
    fn reclaim(&self, response: Response) {
        match response {
            Response::Opened { session, .. } => self.tell(&Request::Lock { session }),
            Response::Account { pending, .. } => self.tell(&Request::DiscardAccount { pending }),
            _ => {}
        }
    }
}

#[expect(
    clippy::await_holding_invalid_type,
    reason = "the reader is the vault, which reads at once or is replaced"
)]
async fn write(socket: OwnedFd, mut outgoing: mpsc::Receiver<Outgoing>) -> io::Result<()> {
    let mut room = Room::default();
    while let Some(Outgoing { frame, descriptors }) = outgoing.recv().await {
        // EXPOSE: into the kernel's socket buffer.
        let bytes = frame.expose();
        // Descriptors go with a frame's first bytes.
        let mut descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let send = |socket: BorrowedFd<'_>| send_with_fds(socket, rest, &descriptors);
            sent += poll_fn(|context| room.poll(context, socket.as_fd(), send)).await?;
            descriptors.clear();
        }
    }
    Ok(())
}

/// An answer of another kind than the request's.
pub(super) fn unexpected() -> Error {
    Error::internal("the vault gave another answer than was asked for")
}

#[cfg(test)]
mod tests;
