//! A connection that gives up on a client who stops reading, and closes without cutting off its last answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;

/// How long, and for how many bytes, a client that is still sending is listened to after the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;

/// A TLS connection whose writes have to make progress.
pub struct Patient {
    inner: TlsStream<TcpStream>,
    patience: Duration,
    stalled: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Patient {
    /// Wraps a connection; a write that makes no progress for `patience` fails.
    #[must_use]
    pub fn new(inner: TlsStream<TcpStream>, patience: Duration) -> Self {
        Self { inner, patience, stalled: Box::pin(sleep(patience)), waiting: false }
    }

    /// Says goodbye and reads on for a moment: closing a socket with unread input resets it, and a reset can overtake
    /// the answer that explains why the rest was not wanted.
    pub async fn close(mut self) {
        if self.shutdown().await.is_err() {
            return;
        }
        let linger = async {
            let mut left = LINGER_BYTES;
            let mut buffer = vec![0; 64 << 10];
            while let Ok(read) = self.inner.read(&mut buffer).await {
                left = left.saturating_sub(read);
                if read == 0 || left == 0 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(LINGER, linger).await;
    }

    fn progress<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.waiting = false;
            return write;
        }
        if !self.waiting {
            self.waiting = true;
            self.stalled.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.progress(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.progress(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.inner).poll_flush(cx);
        self.progress(cx, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.progress(cx, shutdown)
    }
}
