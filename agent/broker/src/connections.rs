//! Connections: so many at once, each with the process that made it, and buffers that suit bulk data.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use life_sys::peer::{Peer, Programs};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::unix::pipe::Receiver;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::quiet::{self, Room};

/// Connections at once; further ones wait in the socket's queue.
const MOST: usize = 256;
const SOCKET_BUFFER: usize = 1024 * 1024;
/// How long to wait when the system has no descriptors left: trying again at once would only use up the processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Who connected, as it was at that time; in the extensions of each request that comes over the connection.
pub type Caller = Arc<Peer>;

/// A connection that keeps its place among those at once.
pub struct Connection {
    /// Reads, and has the socket.
    socket: Receiver,
    room: Room,
    caller: Caller,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn new(stream: UnixStream, programs: &Programs, place: OwnedSemaphorePermit) -> io::Result<Self> {
        // First of all: the longer one waits, the less is known. Whoever it cannot be said of is refused.
        let caller = Arc::new(identify(&stream, programs).await?);
        // Best effort: the system may allow less.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SOCKET_BUFFER);
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&stream, SOCKET_BUFFER);
        let socket = quiet::reader(stream.into_std()?)?;
        Ok(Self { socket, room: Room::default(), caller, _place: place })
    }
}

/// Says who connected. Where the system has no descriptor left to look with, it waits: whoever connected did nothing wrong.
async fn identify(stream: &UnixStream, programs: &Programs) -> io::Result<Peer> {
    loop {
        match Peer::capture(stream, programs) {
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
            captured => return captured,
        }
    }
}

/// Accepts connections, for ever; `programs` says who makes them.
pub fn incoming(
    listener: UnixListener,
    programs: Arc<Programs>,
) -> impl Stream<Item = io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(listener, &programs, MOST, &sender) => {}
            () = sender.closed() => {}
        }
    });
    ReceiverStream::new(receiver)
}

async fn accept(
    listener: UnixListener,
    programs: &Programs,
    most: usize,
    sender: &mpsc::Sender<io::Result<Connection>>,
) {
    let places = Arc::new(Semaphore::new(most));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => match Connection::new(stream, programs, place).await {
                Ok(connection) => {
                    if sender.send(Ok(connection)).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::info!(%error, "a connection was closed at once"),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, room, .. } = &mut *self;
        room.poll(context, socket.as_fd(), |socket| Ok(rustix::io::write(socket, bytes)?))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, room, .. } = &mut *self;
        room.poll(context, socket.as_fd(), |socket| Ok(rustix::io::writev(socket, parts)?))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_beyond_the_limit_waits_for_one_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let (sender, mut accepted) = mpsc::channel(1);
        tokio::spawn(async move { accept(listener, &Programs::own(), 2, &sender).await });
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(UnixStream::connect(&path).await.unwrap());
        }
        let first = accepted.recv().await.unwrap().unwrap();
        let _second = accepted.recv().await.unwrap().unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), accepted.recv()).await.is_err());
        drop(first);
        accepted.recv().await.unwrap().unwrap();
    }
}
