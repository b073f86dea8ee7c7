//! The link to the vault: many calls at once over one socket, each answered by its number.
//!
//! When the link breaks, every waiting call fails at once, and calls fail until a fresh vault is linked.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use life_sys::descriptors::send_with_fds;
use life_sys::secret::SecretBytes;
use life_vault_protocol::{FrameDecoder, Request, Response, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};
use zeroize::Zeroize;

use super::keeper::Fresh;
use crate::error::{Error, Fault, Result};

/// Frames that wait to be written; a caller beyond that waits its turn.
const QUEUE: usize = 64;
/// How long a call may take that no person delays. Making four RSA keys takes seconds, on a slow machine many.
const CALL_LIMIT: Duration = Duration::from_secs(120);
/// How long a call may take that waits for a person.
const PERSON_LIMIT: Duration = Duration::from_secs(660);

/// The vault, as the rest of the broker sees it.
#[derive(Clone, Default)]
pub struct Vault(Arc<Shared>);

#[derive(Default)]
struct Shared {
    next: AtomicU64,
    state: Mutex<State>,
    linked: Notify,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    waiting: HashMap<u64, oneshot::Sender<Response>>,
}

#[derive(Clone)]
struct Link {
    pid: u32,
    since: SystemTime,
    queue: mpsc::Sender<Outgoing>,
}

struct Outgoing {
    frame: SecretBytes,
    descriptors: Vec<OwnedFd>,
}

impl Vault {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process behind the link: its id and when it was linked.
    pub fn process(&self) -> Option<(u32, SystemTime)> {
        self.state().link.as_ref().map(|link| (link.pid, link.since))
    }

    /// Waits until a vault is linked.
    pub async fn linked(&self) {
        while self.process().is_none() {
            // Woken by the link that comes to be after the look, however soon.
            self.0.linked.notified().await;
        }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// VAULT_UNAVAILABLE when there is no vault or it dies meanwhile; what the vault answered, as a fault.
    pub async fn call(&self, request: &Request, descriptors: Vec<OwnedFd>) -> Result<Response> {
        let needs_person = !descriptors.is_empty();
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let frame = encode_request(id, request).map_err(|_| Fault::MessageTooLarge)?;
        let (sender, receiver) = oneshot::channel();
        let queue = {
            let mut state = self.state();
            let queue = state.link.as_ref().map(|link| link.queue.clone()).ok_or(Fault::VaultUnavailable)?;
            state.waiting.insert(id, sender);
            queue
        };
        let mut guard = Waiting { vault: self, id, needs_person };
        queue.send(Outgoing { frame, descriptors }).await.map_err(|_| Fault::VaultUnavailable)?;
        let limit = if needs_person { PERSON_LIMIT } else { CALL_LIMIT };
        let response = match tokio::time::timeout(limit, receiver).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => return Err(Fault::VaultUnavailable.into()),
            Err(_) => return Err(Fault::VaultUnavailable.because("it did not answer in time")),
        };
        guard.needs_person = false;
        match response {
            Response::Error(error) => Err(error.into()),
            response => Ok(response),
        }
    }

    /// Sends a request whose answer nobody waits for, if there is room.
    pub fn tell(&self, request: &Request) {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let queue = self.state().link.as_ref().map(|link| link.queue.clone());
        if let (Some(queue), Ok(frame)) = (queue, encode_request(id, request)) {
            // Without room, a task waits for it: a lock must not get lost.
            if let Err(mpsc::error::TrySendError::Full(outgoing)) =
                queue.try_send(Outgoing { frame, descriptors: Vec::new() })
            {
                tokio::spawn(async move { queue.send(outgoing).await });
            }
        }
    }

    /// Serves a fresh vault until its link breaks; then every waiting call has failed.
    pub async fn serve(&self, fresh: Fresh) {
        let Ok(socket) = adopt(fresh.socket) else {
            return tracing::error!("the vault's socket cannot be used");
        };
        let (reader, writer) = socket.into_split();
        let (queue, outgoing) = mpsc::channel(QUEUE);
        self.state().link = Some(Link { pid: fresh.pid, since: SystemTime::now(), queue });
        self.0.linked.notify_one();
        let ended = tokio::select! {
            ended = self.read(reader) => ended,
            ended = write(writer, outgoing) => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the link to the vault broke");
        }
        let mut state = self.state();
        state.link = None;
        state.waiting.clear();
    }

    /// Closes the link: the vault ends.
    pub fn close(&self) {
        let mut state = self.state();
        state.link = None;
        state.waiting.clear();
    }

    async fn read(&self, mut reader: OwnedReadHalf) -> io::Result<()> {
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
        let waiting = self.state().waiting.remove(&id);
        let unclaimed = match waiting {
            Some(sender) => sender.send(response).err(),
            None => Some(response),
        };
        // Nobody waits any more: what the answer opened must not stay open.
        match unclaimed {
            Some(Response::Opened { session, .. }) => self.tell(&Request::Lock { session }),
            Some(Response::Account { pending, .. }) => self.tell(&Request::DiscardAccount { pending }),
            _ => {}
        }
    }
}

/// Removes a call from the list when its caller goes away, and ends the vault's wait for a person.
struct Waiting<'a> {
    vault: &'a Vault,
    id: u64,
    needs_person: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.vault.state().waiting.remove(&self.id);
        if self.needs_person {
            self.vault.tell(&Request::CancelSecret { request: self.id });
        }
    }
}

fn adopt(socket: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

#[expect(
    clippy::await_holding_invalid_type,
    reason = "the reader is the vault, which reads at once or is replaced"
)]
async fn write(mut writer: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Outgoing>) -> io::Result<()> {
    while let Some(Outgoing { frame, descriptors }) = outgoing.recv().await {
        // EXPOSE: into the kernel's socket buffer.
        let bytes = frame.expose();
        if descriptors.is_empty() {
            writer.write_all(bytes).await?;
            continue;
        }
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let stream: &UnixStream = writer.as_ref();
        let sent = stream.async_io(Interest::WRITABLE, || send_with_fds(stream, bytes, &borrowed)).await?;
        writer.write_all(bytes.get(sent..).unwrap_or_default()).await?;
    }
    Ok(())
}

/// An answer of another kind than the request's.
pub(super) fn unexpected() -> Error {
    Error::internal("the vault gave another answer than was asked for")
}

#[cfg(test)]
mod tests;
