//! File descriptors passed over Unix sockets (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// The most descriptors that are sent or taken at once.
pub const MAX_DESCRIPTORS: usize = 4;

/// Never raise `SIGPIPE`. Where no flag says so, the process has to ignore it, as Rust's own start does.
#[cfg(target_os = "linux")]
pub(crate) const QUIET: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(target_os = "linux"))]
pub(crate) const QUIET: SendFlags = SendFlags::empty();

/// Descriptors that come are closed on exec.
#[cfg(target_os = "linux")]
const CLOSED_ON_EXEC: RecvFlags = RecvFlags::CMSG_CLOEXEC;
/// They are told so as soon as they have come: the system has no flag for it.
#[cfg(not(target_os = "linux"))]
const CLOSED_ON_EXEC: RecvFlags = RecvFlags::empty();

/// Sends bytes and, on the first of them, descriptors; says how many bytes were taken.
///
/// The rest must follow without descriptors. Never raises `SIGPIPE`. On a non-blocking socket it fails with
/// [`io::ErrorKind::WouldBlock`] and sends nothing, so an asynchronous caller can wait and call again.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for more than [`MAX_DESCRIPTORS`] descriptors or for descriptors without a
/// byte to carry them; else what the system says.
pub fn send_with_fds(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let fits = fds.len() <= MAX_DESCRIPTORS && !bytes.is_empty();
        if !fits || !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, QUIET) {
            Err(rustix::io::Errno::INTR) => {}
            sent => return Ok(sent?),
        }
    }
}

/// Receives bytes, and appends the descriptors that came with them to `fds`; zero bytes mean the end.
///
/// Descriptors are closed on exec. One call returns the descriptors of at most one send.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] when more than [`MAX_DESCRIPTORS`] came at once (those that fitted are closed);
/// else what the system says.
pub fn recv_with_fds(socket: impl AsFd, bytes: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(bytes)], &mut control, CLOSED_ON_EXEC) {
            Err(rustix::io::Errno::INTR) => {}
            received => break received?,
        }
    };
    let mut new = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            new.extend(rights);
        }
    }
    #[cfg(not(target_os = "linux"))]
    for descriptor in &new {
        rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?;
    }
    if received.flags.contains(ReturnFlags::CTRUNC) || new.len() > MAX_DESCRIPTORS {
        return Err(io::ErrorKind::InvalidData.into());
    }
    fds.append(&mut new);
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_descriptor_arrives_with_its_bytes() {
        let (left, right) = UnixStream::pair().unwrap();
        let (mut reader, writer) = UnixStream::pair().unwrap();
        assert_eq!(send_with_fds(&left, b"hello", &[writer.as_fd()]).unwrap(), 5);
        drop(writer);

        let (mut buffer, mut fds) = ([0; 16], Vec::new());
        assert_eq!(recv_with_fds(&right, &mut buffer, &mut fds).unwrap(), 5);
        assert_eq!(&buffer[..5], b"hello");
        let mut passed = UnixStream::from(fds.pop().unwrap());
        passed.write_all(b"through").unwrap();
        drop(passed);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        assert!(fds.is_empty());
    }

    #[test]
    fn too_many_are_refused_on_both_sides() {
        let (left, right) = UnixStream::pair().unwrap();
        let five = [left.as_fd(); MAX_DESCRIPTORS + 1];
        let refused = send_with_fds(&left, b"x", &five).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        assert!(send_with_fds(&left, b"", &five[..1]).is_err());

        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let many = [left.as_fd(); 16];
        assert!(control.push(SendAncillaryMessage::ScmRights(&many)));
        sendmsg(&left, &[IoSlice::new(b"x")], &mut control, SendFlags::NOSIGNAL).unwrap();
        let mut fds = Vec::new();
        let refused = recv_with_fds(&right, &mut [0; 8], &mut fds).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        assert!(fds.is_empty());
    }

    #[test]
    fn the_end_is_zero_bytes_and_a_gone_peer_is_an_error() {
        let (left, right) = UnixStream::pair().unwrap();
        drop(left);
        assert_eq!(recv_with_fds(&right, &mut [0; 8], &mut Vec::new()).unwrap(), 0);
        assert_eq!(send_with_fds(&right, b"x", &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
