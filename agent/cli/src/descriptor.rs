//! Handing a secret to the vault: through a pipe whose reading end goes over the agent's descriptor socket, so that
//! the secret never crosses the broker; or from the vault, the same way.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use life_proto::v1::DescriptorTicket;
use life_sys::descriptors::send_with_fds;
use life_sys::secret::SecretBytes;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use zeroize::Zeroizing;

use crate::connection::check_peer;
use crate::error::Error;
use crate::files::in_background;

/// How long the agent may take to take a descriptor.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the agent answers when it took the descriptor.
const TAKEN: u8 = 0;

/// A pipe that holds a secret, all of it, with its writing end closed.
///
/// A pipe holds 64 KiB, so that writing a passphrase never waits for a reader.
pub fn pipe_with_secret(secret: &SecretBytes) -> Result<OwnedFd, Error> {
    let failed = |source| Error::Write { name: "the secret's pipe".into(), source };
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    // EXPOSE: into the pipe that the vault reads.
    File::from(writer).write_all(secret.expose()).map_err(failed)?;
    Ok(reader)
}

/// A pipe for a secret that the vault makes: the end to read it from, which never waits, and the end to hand over.
pub fn pipe_for_secret() -> Result<(OwnedFd, OwnedFd), Error> {
    let failed = |error: Errno| Error::Read { name: "the secret's pipe".into(), source: error.into() };
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK).map_err(failed)?;
    Ok((reader, writer))
}

/// Takes the secret that the vault wrote; nothing where it wrote none.
pub fn secret_of(reader: &OwnedFd) -> Option<SecretBytes> {
    let mut buffer = Zeroizing::new([0; 256]);
    let count = rustix::io::read(reader, &mut *buffer).ok()?;
    let secret = SecretBytes::new(buffer.get(..count)?.to_vec());
    Some(secret).filter(|secret| !secret.is_empty())
}

/// Sends ticket and descriptor, and waits until the agent has taken them.
///
/// Fails with [`Error::NotRunning`] when the socket does not answer or refuses the ticket.
pub async fn hand_over(ticket: DescriptorTicket, descriptor: OwnedFd) -> Result<(), Error> {
    in_background(move || hand_over_now(&ticket, &descriptor)).await
}

fn hand_over_now(ticket: &DescriptorTicket, descriptor: &OwnedFd) -> Result<(), Error> {
    let refused = |why: String| Error::NotRunning { socket: ticket.socket.clone().into(), why };
    match exchange(ticket, descriptor) {
        Ok(TAKEN) => Ok(()),
        Ok(_) => Err(refused("the ticket was refused: it has expired, or was used".into())),
        Err(error) => Err(refused(error.to_string())),
    }
}

fn exchange(ticket: &DescriptorTicket, descriptor: &OwnedFd) -> io::Result<u8> {
    let mut socket = UnixStream::connect(&ticket.socket)?;
    check_peer(&socket)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let sent = send_with_fds(&socket, &ticket.ticket, &[descriptor.as_fd()])?;
    socket.write_all(ticket.ticket.get(sent..).unwrap_or_default())?;
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    Ok(answer[0])
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use life_sys::descriptors::recv_with_fds;

    use super::*;

    #[test]
    fn the_secret_arrives_through_the_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fd.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut ticket = [0; 32];
            let mut rights = Vec::new();
            assert_eq!(recv_with_fds(&peer, &mut ticket, &mut rights).unwrap(), 32);
            let mut secret = String::new();
            File::from(rights.pop().unwrap()).read_to_string(&mut secret).unwrap();
            peer.write_all(&[TAKEN]).unwrap();
            (ticket, secret)
        });
        let ticket = DescriptorTicket {
            ticket: vec![9; 32].into(),
            socket: path.to_str().unwrap().into(),
            expire_time: None,
        };
        let pipe = pipe_with_secret(&SecretBytes::new(b"correct horse battery".to_vec())).unwrap();
        hand_over_now(&ticket, &pipe).unwrap();
        drop(pipe);
        assert_eq!(server.join().unwrap(), ([9; 32], "correct horse battery".into()));
    }
}
