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

/// Bytes a second a client has to take on average, so that an answer does not hold its place for ever.
const SLOWEST: u32 = 16 << 10;

/// A TLS connection whose writes have to make progress, at a minimum rate.
pub struct Patient {
    inner: TlsStream<TcpStream>,
    patience: Patience,
    stalled: Pin<Box<Sleep>>,
    waiting: Option<Instant>,
}

/// For how long a client may still keep us waiting: waiting uses it up, taking bytes earns it back.
#[derive(Debug)]
struct Patience {
    left: Duration,
    most: Duration,
}

impl Patience {
    fn new(most: Duration) -> Self {
        Self { left: most, most }
    }

    fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    fn took(&mut self, bytes: usize) {
        let earned = Duration::from_secs(bytes as u64) / SLOWEST;
        self.left = self.left.saturating_add(earned).min(self.most);
    }
}

impl Patient {
    /// Wraps a connection; a write that makes no progress for `patience`, or too little for longer, fails.
    #[must_use]
    pub fn new(inner: TlsStream<TcpStream>, patience: Duration) -> Self {
        Self { inner, patience: Patience::new(patience), stalled: Box::pin(sleep(patience)), waiting: None }
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

    fn wrote(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let write = self.progress(cx, write);
        if let Poll::Ready(Ok(bytes)) = &write {
            self.patience.took(*bytes);
        }
        write
    }

    fn progress<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            if let Some(since) = self.waiting.take() {
                self.patience.waited(since.elapsed());
            }
            return write;
        }
        if self.waiting.is_none() {
            let now = Instant::now();
            self.waiting = Some(now);
            self.stalled.as_mut().reset(now + self.patience.left);
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
        self.wrote(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.wrote(cx, write)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_too_little_runs_out_of_patience() {
        let lasts = |bytes_a_second: usize| {
            let mut patience = Patience::new(Duration::from_secs(30));
            (0..3600)
                .take_while(|_| {
                    patience.waited(Duration::from_secs(1));
                    let left = !patience.left.is_zero();
                    patience.took(bytes_a_second);
                    left
                })
                .count()
        };
        assert_eq!(lasts(0), 29);
        assert_eq!(lasts(20 << 10), 3600);
        assert!((40..80).contains(&lasts(8 << 10)), "{}", lasts(8 << 10));
    }
}
