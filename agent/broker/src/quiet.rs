//! Unix sockets that wake their task when there is something to read, and for room to write only while that is wanted.
//!
//! tokio's own listens for both at all times, and the system says after each message the peer has read that there is room
//! again: three wake-ups a call for nobody, each of which may take the processor from a signature.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::unix::pipe::Receiver;

/// The reading side of a socket: to tokio it is a pipe, the one thing it listens to in one direction.
///
/// # Errors
/// What the system says.
pub fn reader(socket: UnixStream) -> io::Result<Receiver> {
    socket.set_nonblocking(true)?;
    Receiver::from_owned_fd_unchecked(socket.into())
}

/// Waits for room to write, from the first time that there was none.
#[derive(Default)]
pub struct Room(Option<tokio::net::UnixStream>);

impl Room {
    /// Writes, as soon as the socket takes something. It must not block.
    pub fn poll(
        &mut self,
        context: &mut Context<'_>,
        socket: BorrowedFd<'_>,
        mut write: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let waiting = match &self.0 {
            Some(waiting) => waiting,
            None => {
                match write(socket) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return Poll::Ready(done),
                }
                let socket = UnixStream::from(socket.try_clone_to_owned()?);
                self.0.insert(tokio::net::UnixStream::from_std(socket)?)
            }
        };
        loop {
            ready!(waiting.poll_write_ready(context))?;
            match waiting.try_io(Interest::WRITABLE, || write(waiting.as_fd())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Read;

    use tokio::io::AsyncReadExt;

    use super::*;

    /// Writes all of it, waiting for room where there is none.
    async fn write(room: &mut Room, socket: &UnixStream, bytes: &[u8]) -> io::Result<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = &bytes[sent..];
            sent +=
                poll_fn(|context| room.poll(context, socket.as_fd(), |fd| Ok(rustix::io::write(fd, rest)?)))
                    .await?;
        }
        Ok(())
    }

    #[tokio::test]
    async fn what_the_peer_does_not_take_yet_waits_and_all_of_it_arrives() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let sent: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        let expected = sent.clone();
        let mut room = Room::default();
        write(&mut room, &ours, &sent[..10]).await.unwrap();
        assert!(room.0.is_none(), "nothing is listened for while there is room");
        let read = tokio::task::spawn_blocking(move || {
            let mut got = vec![0; expected.len()];
            theirs.read_exact(&mut got).unwrap();
            assert_eq!(got, expected);
            theirs
        });
        write(&mut room, &ours, &sent[10..]).await.unwrap();
        assert!(room.0.is_some(), "there was none");
        // A peer that is gone is an error, not a wait.
        drop(read.await.unwrap());
        assert!(write(&mut room, &ours, b"more").await.is_err());
    }

    #[tokio::test]
    async fn what_comes_is_read_until_the_end() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut reader = reader(ours).unwrap();
        let write = tokio::task::spawn_blocking(move || {
            let mut theirs = theirs;
            for n in 0..200u8 {
                io::Write::write_all(&mut theirs, &[n; 5000]).unwrap();
            }
        });
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        write.await.unwrap();
        assert_eq!(got.len(), 1_000_000);
        assert!(got.chunks(5000).zip(0u8..).all(|(chunk, n)| chunk.iter().all(|byte| *byte == n)));
    }
}
