//! The descriptor socket: takes a one-time ticket with a descriptor, which goes on to the vault.
//!
//! A client sends exactly the 32 bytes of a ticket with one descriptor (SCM_RIGHTS) and gets one byte: 0 taken,
//! 1 refused.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use life_pki::Uid;
use life_sys::descriptors::recv_with_fds;
use life_sys::stream::Stream;
use life_vault_protocol::VaultError;
use tokio::net::UnixListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::error::{Error, Fault, Result};

/// How long a client has from its connection to its ticket.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most tickets out at once.
const MOST: usize = 64;
/// The most clients of the descriptor socket at once; further ones wait.
const CLIENTS: usize = 32;
/// A client that takes longer has handed over something that holds its thread up.
const STUCK: Duration = Duration::from_secs(2 * PATIENCE.as_secs());

/// A ticket's bytes.
type Bytes = [u8; 32];

/// The tickets that are out.
pub struct Tickets {
    socket: PathBuf,
    out: Mutex<HashMap<Bytes, Out>>,
    /// Whether clients hold all places up.
    held_up: AtomicBool,
    /// How long it takes to find that out.
    stuck: Duration,
}

struct Out {
    expires: Instant,
    /// The user it is to unlock, where that is known.
    uid: Option<Uid>,
    /// Takes the descriptor; nothing for one that no secret may come through.
    taker: oneshot::Sender<Option<OwnedFd>>,
}

/// A ticket for one descriptor; void when dropped.
pub struct Ticket {
    tickets: Arc<Tickets>,
    bytes: Bytes,
    lifetime: Duration,
    /// When it expires.
    pub expires: SystemTime,
    receiver: oneshot::Receiver<Option<OwnedFd>>,
}

life_sys::secret_types!(Ticket);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tickets.out().remove(&self.bytes);
    }
}

impl Ticket {
    /// What the client sends.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Waits for the descriptor.
    ///
    /// # Errors
    /// SECRET_TIMEOUT when it does not come in time, CREDENTIAL_LOCKED when the ticket was made void, WRONG_PASSPHRASE for what is
    /// neither a pipe without a name nor a Unix socket.
    pub async fn descriptor(mut self) -> Result<OwnedFd> {
        match tokio::time::timeout(self.lifetime, &mut self.receiver).await {
            Ok(Ok(descriptor)) => descriptor.ok_or_else(|| VaultError::SecretUnusable.into()),
            Ok(Err(_)) => Err(Fault::CredentialLocked.because("the user was locked meanwhile")),
            Err(_) if self.tickets.held_up.load(Ordering::Relaxed) => {
                Err(Fault::SecretTimeout.because(HELD_UP))
            }
            Err(_) => Err(Fault::SecretTimeout.into()),
        }
    }
}

/// What a same-user program can do, and only that program's end undoes: no thread that waits for a file system can be ended.
const HELD_UP: &str =
    "programs hold the descriptor socket up with what they have handed over, and no other gets to it";

impl Tickets {
    /// No tickets yet.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, out: Mutex::default(), held_up: AtomicBool::default(), stuck: STUCK }
    }

    /// The descriptor socket's path.
    pub fn socket(&self) -> &std::path::Path {
        &self.socket
    }

    fn out(&self) -> MutexGuard<'_, HashMap<Bytes, Out>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Issues a ticket.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when very many are out.
    pub fn issue(self: &Arc<Self>, lifetime: Duration, uid: Option<Uid>) -> Result<Ticket> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(Error::internal)?;
        let (taker, receiver) = oneshot::channel();
        let mut out = self.out();
        if out.len() >= MOST {
            return Err(Fault::ResourceExhausted.into());
        }
        out.insert(bytes, Out { expires: Instant::now() + lifetime, uid, taker });
        drop(out);
        Ok(Ticket { tickets: self.clone(), bytes, lifetime, expires: SystemTime::now() + lifetime, receiver })
    }

    /// Makes the tickets of a user void, or all.
    pub fn void(&self, uid: Option<Uid>) {
        self.out().retain(|_, out| uid.is_some() && out.uid != uid);
    }

    /// Uses a ticket up. The look-up by value may tell by its time whether a hash bucket is used: of 32 random bytes
    /// that says nothing.
    fn redeem(&self, bytes: &Bytes, descriptor: Option<OwnedFd>) -> bool {
        match self.out().remove(bytes) {
            Some(out) if out.expires > Instant::now() => out.taker.send(descriptor).is_ok(),
            _ => false,
        }
    }

    /// Serves the descriptor socket, for ever.
    ///
    /// Each client on a thread of its own: looking at somebody else's descriptor can wait for as long as they like, and so can
    /// closing it (a file of a file system of theirs; a socket with SO_LINGER).
    pub async fn serve(self: Arc<Self>, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(CLIENTS));
        loop {
            let Some(place) = self.place(&places).await else { return };
            let served = match listener.accept().await {
                Ok((stream, _)) => stream.into_std().and_then(|stream| {
                    let tickets = self.clone();
                    let serve = move || {
                        tickets.take(&stream);
                        drop((stream, place));
                    };
                    thread::Builder::new().name("ticket".to_owned()).spawn(serve).map(drop)
                }),
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::warn!(%error, "the descriptor socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// Waits for a place. What comes meanwhile stays with the kernel: whoever drops a connection also closes the descriptors
    /// that wait in it.
    async fn place(&self, places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut place = std::pin::pin!(places.clone().acquire_owned());
        let place = match tokio::time::timeout(self.stuck, &mut place).await {
            Ok(place) => place,
            Err(_) => {
                self.held_up.store(true, Ordering::Relaxed);
                tracing::warn!(clients = CLIENTS, "{HELD_UP}");
                place.await
            }
        };
        self.held_up.store(false, Ordering::Relaxed);
        place.ok()
    }

    fn take(&self, stream: &UnixStream) {
        let same_user =
            life_sys::peer::credentials(stream).is_ok_and(|peer| peer.uid == life_sys::peer::own_uid());
        let ticket =
            if same_user { read_ticket(stream) } else { Err(io::ErrorKind::PermissionDenied.into()) };
        let (taken, _unsuitable) = match ticket {
            Ok((bytes, descriptor)) if Stream::takes(descriptor.as_fd()) => {
                (self.redeem(&bytes, Some(descriptor)), None)
            }
            Ok((bytes, descriptor)) => (self.redeem(&bytes, None), Some(descriptor)),
            Err(error) => {
                tracing::info!(%error, "a client of the descriptor socket sent no ticket");
                (false, None)
            }
        };
        // The client is told before anything of its own is closed.
        let _ = (&*stream).write_all(&[u8::from(!taken)]);
    }
}

/// Reads exactly a ticket and exactly one descriptor.
fn read_ticket(stream: &UnixStream) -> io::Result<(Bytes, OwnedFd)> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let end = Instant::now() + PATIENCE;
    let mut bytes = [0; 32];
    let mut have = 0;
    let mut descriptors = Vec::new();
    while have < bytes.len() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let rest = bytes.get_mut(have..).unwrap_or_default();
        let got = recv_with_fds(stream, rest, &mut descriptors)?;
        if got == 0 || descriptors.len() > 1 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        have += got;
    }
    let descriptor = descriptors.pop().ok_or(io::ErrorKind::InvalidData)?;
    Ok((bytes, descriptor))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pipe_end() -> OwnedFd {
        UnixStream::pair().unwrap().0.into()
    }

    async fn send(socket: &std::path::Path, ticket: &[u8], descriptor: OwnedFd) -> u8 {
        let socket = socket.to_owned();
        let ticket = ticket.to_vec();
        tokio::task::spawn_blocking(move || {
            let mut stream = UnixStream::connect(socket).unwrap();
            let (last, first) = ticket.split_last().unwrap();
            let sent = life_sys::descriptors::send_with_fds(&stream, first, &[descriptor.as_fd()]).unwrap();
            assert_eq!(sent, first.len());
            // Before the ticket is whole: then the agent has the last one, and closing it is up to the agent.
            drop(descriptor);
            stream.write_all(&[*last]).unwrap();
            let mut answer = [9];
            stream.read_exact(&mut answer).unwrap();
            answer[0]
        })
        .await
        .unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_ticket_is_good_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fd.sock");
        let tickets = Arc::new(Tickets::new(path.clone()));
        tokio::spawn(tickets.clone().serve(UnixListener::bind(&path).unwrap()));
        let descriptor = pipe_end();

        let ticket = tickets.issue(Duration::from_secs(10), None).unwrap();
        let bytes = *ticket.bytes();
        assert_eq!(send(&path, &[7; 32], descriptor.try_clone().unwrap()).await, 1);
        let waiting = tokio::spawn(ticket.descriptor());
        assert_eq!(send(&path, &bytes, descriptor.try_clone().unwrap()).await, 0);
        waiting.await.unwrap().unwrap();
        assert_eq!(send(&path, &bytes, descriptor.try_clone().unwrap()).await, 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_ticket_expires_and_is_void_when_its_call_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fd.sock");
        let tickets = Arc::new(Tickets::new(path.clone()));
        tokio::spawn(tickets.clone().serve(UnixListener::bind(&path).unwrap()));
        let descriptor = pipe_end();
        let ticket = tickets.issue(Duration::from_millis(10), None).unwrap();
        assert_eq!(ticket.descriptor().await.err().unwrap().fault(), Fault::SecretTimeout);
        let ticket = tickets.issue(Duration::from_secs(10), None).unwrap();
        let bytes = *ticket.bytes();
        drop(ticket);
        assert_eq!(send(&path, &bytes, descriptor.try_clone().unwrap()).await, 1);
        assert!(tickets.out().is_empty());

        // One is void when its user is locked, all when everybody is.
        let [one, two] = [1, 2].map(|n| Some(Uid::from_random([n; 16])));
        let [first, second, third] =
            [one, two, None].map(|uid| tickets.issue(Duration::from_secs(10), uid).unwrap());
        tickets.void(one);
        assert_eq!(first.descriptor().await.err().unwrap().fault(), Fault::CredentialLocked);
        assert_eq!(tickets.out().len(), 2);
        tickets.void(None);
        for ticket in [second, third] {
            assert_eq!(ticket.descriptor().await.err().unwrap().fault(), Fault::CredentialLocked);
        }
    }

    /// A connection with more to send than the other side takes, which is to be waited for when it is closed.
    fn lingering(listener: &TcpListener) -> OwnedFd {
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::from_secs(600))).unwrap();
        stream.set_nonblocking(true).unwrap();
        while (&stream).write(&[0; 65536]).is_ok() {}
        stream.into()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_makes_whoever_closes_it_wait_holds_nobody_else_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fd.sock");
        let tickets = Arc::new(Tickets::new(path.clone()));
        tokio::spawn(tickets.clone().serve(UnixListener::bind(&path).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();

        // With a wrong ticket, more often than the runtime has threads, and with a right one.
        for _ in 0..4 {
            assert_eq!(send(&path, &[7; 32], lingering(&listener)).await, 1);
        }
        let ticket = tickets.issue(Duration::from_secs(600), None).unwrap();
        assert_eq!(send(&path, ticket.bytes(), lingering(&listener)).await, 0);
        assert_eq!(ticket.descriptor().await.err().unwrap().fault(), Fault::WrongPassphrase);
        // A file neither, and after all that a pipe or a socket comes through.
        let ticket = tickets.issue(Duration::from_secs(600), None).unwrap();
        assert_eq!(send(&path, ticket.bytes(), tempfile::tempfile().unwrap().into()).await, 0);
        assert_eq!(ticket.descriptor().await.err().unwrap().fault(), Fault::WrongPassphrase);
        let ticket = tickets.issue(Duration::from_secs(600), None).unwrap();
        assert_eq!(send(&path, ticket.bytes(), pipe_end()).await, 0);
        ticket.descriptor().await.unwrap();
        // Resets every connection: nobody waits any longer.
        drop(listener);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn who_finds_all_places_held_up_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fd.sock");
        let tickets = Tickets { stuck: Duration::from_millis(100), ..Tickets::new(path.clone()) };
        let tickets = Arc::new(tickets);
        tokio::spawn(tickets.clone().serve(UnixListener::bind(&path).unwrap()));
        let held_up = async |expected: bool| {
            while tickets.held_up.load(Ordering::Relaxed) != expected {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for _ in 0..CLIENTS {
            assert_eq!(send(&path, &[7; 32], lingering(&listener)).await, 1);
        }
        held_up(true).await;
        let ticket = tickets.issue(Duration::from_millis(10), None).unwrap();
        let ended = ticket.descriptor().await.err().unwrap();
        assert_eq!(ended.fault(), Fault::SecretTimeout);
        assert!(ended.to_string().contains("hold the descriptor socket up"), "{ended}");
        // As soon as they let go, everybody has their turn again.
        drop(listener);
        held_up(false).await;
        let ticket = tickets.issue(Duration::from_secs(600), None).unwrap();
        assert_eq!(send(&path, ticket.bytes(), pipe_end()).await, 0);
        ticket.descriptor().await.unwrap();
    }
}
