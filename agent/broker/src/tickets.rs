//! The descriptor socket: takes a one-time ticket with a descriptor, which goes on to the vault.
//!
//! A client sends exactly the 32 bytes of a ticket with one descriptor (SCM_RIGHTS) and gets one byte: 0 taken,
//! 1 refused.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use life_pki::Uid;
use life_sys::descriptors::recv_with_fds;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;

use crate::error::{Error, Fault, Result};

/// How long a client has from its connection to its ticket.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most tickets out at once.
const MOST: usize = 64;

/// A ticket's bytes.
type Bytes = [u8; 32];

/// The tickets that are out.
pub struct Tickets {
    socket: PathBuf,
    out: Mutex<HashMap<Bytes, Out>>,
}

struct Out {
    expires: Instant,
    /// The user it is to unlock, where that is known.
    uid: Option<Uid>,
    taker: oneshot::Sender<OwnedFd>,
}

/// A ticket for one descriptor; void when dropped.
pub struct Ticket {
    tickets: Arc<Tickets>,
    bytes: Bytes,
    lifetime: Duration,
    /// When it expires.
    pub expires: SystemTime,
    receiver: oneshot::Receiver<OwnedFd>,
}

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
    /// SECRET_TIMEOUT when it does not come in time, CREDENTIAL_LOCKED when the ticket was made void.
    pub async fn descriptor(mut self) -> Result<OwnedFd> {
        match tokio::time::timeout(self.lifetime, &mut self.receiver).await {
            Ok(Ok(descriptor)) => Ok(descriptor),
            Ok(Err(_)) => Err(Fault::CredentialLocked.because("the user was locked meanwhile")),
            Err(_) => Err(Fault::SecretTimeout.into()),
        }
    }
}

impl Tickets {
    /// No tickets yet.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket, out: Mutex::default() }
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
    fn redeem(&self, bytes: &Bytes, descriptor: OwnedFd) -> bool {
        match self.out().remove(bytes) {
            Some(out) if out.expires > Instant::now() => out.taker.send(descriptor).is_ok(),
            _ => false,
        }
    }

    /// Serves the descriptor socket, for ever.
    pub async fn serve(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let tickets = self.clone();
                    tokio::spawn(async move {
                        if tokio::time::timeout(PATIENCE, tickets.take(stream)).await.is_err() {
                            tracing::info!("a client of the descriptor socket sent no ticket");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the descriptor socket");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn take(&self, mut stream: UnixStream) {
        let same_user =
            life_sys::peer::credentials(&stream).is_ok_and(|peer| peer.uid == life_sys::peer::own_uid());
        let taken = same_user
            && match read_ticket(&stream).await {
                Ok((bytes, descriptor)) => self.redeem(&bytes, descriptor),
                Err(_) => false,
            };
        let _ = stream.write_all(&[u8::from(!taken)]).await;
    }
}

/// Reads exactly a ticket and exactly one descriptor.
async fn read_ticket(stream: &UnixStream) -> io::Result<(Bytes, OwnedFd)> {
    let mut bytes = [0; 32];
    let mut have = 0;
    let mut descriptors = Vec::new();
    while have < bytes.len() {
        let rest = bytes.get_mut(have..).unwrap_or_default();
        let got =
            stream.async_io(Interest::READABLE, || recv_with_fds(stream, rest, &mut descriptors)).await?;
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
    use std::os::fd::AsFd;

    use super::*;

    async fn send(socket: &std::path::Path, ticket: &[u8], descriptor: &OwnedFd) -> u8 {
        let socket = socket.to_owned();
        let (ticket, descriptor) = (ticket.to_vec(), descriptor.try_clone().unwrap());
        tokio::task::spawn_blocking(move || {
            let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
            let sent = life_sys::descriptors::send_with_fds(&stream, &ticket, &[descriptor.as_fd()]).unwrap();
            assert_eq!(sent, ticket.len());
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
        let descriptor: OwnedFd = tempfile::tempfile().unwrap().into();

        let ticket = tickets.issue(Duration::from_secs(10), None).unwrap();
        let bytes = *ticket.bytes();
        assert_eq!(send(&path, &[7; 32], &descriptor).await, 1);
        let waiting = tokio::spawn(ticket.descriptor());
        assert_eq!(send(&path, &bytes, &descriptor).await, 0);
        waiting.await.unwrap().unwrap();
        assert_eq!(send(&path, &bytes, &descriptor).await, 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_ticket_expires_and_is_void_when_its_call_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fd.sock");
        let tickets = Arc::new(Tickets::new(path.clone()));
        tokio::spawn(tickets.clone().serve(UnixListener::bind(&path).unwrap()));
        let descriptor: OwnedFd = tempfile::tempfile().unwrap().into();
        let ticket = tickets.issue(Duration::from_millis(10), None).unwrap();
        assert_eq!(ticket.descriptor().await.err().unwrap().fault(), Fault::SecretTimeout);
        let ticket = tickets.issue(Duration::from_secs(10), None).unwrap();
        let bytes = *ticket.bytes();
        drop(ticket);
        assert_eq!(send(&path, &bytes, &descriptor).await, 1);
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
}
