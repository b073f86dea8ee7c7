//! Connections: so many at once, each with the process that made it, and buffers that suit bulk data.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use life_sys::peer::Peer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

/// Connections at once; further ones wait in the socket's queue.
const MOST: usize = 256;
const SOCKET_BUFFER: usize = 1024 * 1024;
/// How long to wait when the system has no descriptors left: trying again at once would only use up the processor.
const PAUSE: Duration = Duration::from_millis(100);

/// Who connected, as it was at that time; in the extensions of each request that comes over the connection.
pub type Caller = Arc<Peer>;

/// A connection that keeps its place among those at once.
pub struct Connection {
    stream: UnixStream,
    caller: Caller,
    _place: OwnedSemaphorePermit,
}

/// Accepts connections, for ever.
pub fn incoming(listener: UnixListener) -> impl Stream<Item = io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(listener, MOST, &sender) => {}
            () = sender.closed() => {}
        }
    });
    ReceiverStream::new(receiver)
}

async fn accept(listener: UnixListener, most: usize, sender: &mpsc::Sender<io::Result<Connection>>) {
    let places = Arc::new(Semaphore::new(most));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                // First of all: the longer one waits, the less is known.
                let caller = match Peer::capture(&stream) {
                    Ok(peer) => Arc::new(peer),
                    Err(error) => {
                        tracing::info!(%error, "a connection was refused: who made it cannot be said");
                        continue;
                    }
                };
                // Best effort: the system may allow less.
                let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SOCKET_BUFFER);
                let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&stream, SOCKET_BUFFER);
                if sender.send(Ok(Connection { stream, caller, _place: place })).await.is_err() {
                    return;
                }
            }
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
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
        tokio::spawn(async move { accept(listener, 2, &sender).await });
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
