//! Reading and writing what somebody else handed over, without ever waiting.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, recv, send};

use crate::descriptors::QUIET;

/// A pipe or a socket of somebody else's. No call on it waits, whatever its other holders do with it.
///
/// Being ready, as poll(2) says, is not enough: another holder may empty a pipe before it is read. And `O_NONBLOCK`
/// belongs to the open file description, which all holders share and each may change. So each call says for itself
/// that it must not wait. Only where the kernel does not know that for pipes (before Linux 6.4) the flag is set, on
/// the sender's description too; a sender who clears it in that instant could then make a call wait.
pub struct Stream {
    fd: OwnedFd,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Pipe,
    Socket,
}

fn kind(fd: BorrowedFd<'_>) -> Result<Kind, Errno> {
    match FileType::from_raw_mode(fstat(fd)?.st_mode) {
        FileType::Fifo if system::has_no_name(fd)? => Ok(Kind::Pipe),
        // One of the network can be told to make whoever closes it wait (SO_LINGER).
        FileType::Socket if system::family(fd)? == AddressFamily::UNIX => Ok(Kind::Socket),
        _ => Err(Errno::INVAL),
    }
}

impl Stream {
    /// Takes a descriptor over.
    ///
    /// # Errors
    /// [`Errno::INVAL`] for anything but a Unix socket and a pipe without a name: files, devices, named pipes and sockets of
    /// the network can make a reader, or whoever closes them, wait in ways that nothing prevents; else what the system says.
    pub fn new(fd: OwnedFd) -> Result<Self, Errno> {
        let kind = kind(fd.as_fd())?;
        Ok(Self { fd, kind })
    }

    /// Whether [`Stream::new`] would take a descriptor. To look at one that is none may wait, and so may closing it.
    #[must_use]
    pub fn takes(fd: BorrowedFd<'_>) -> bool {
        kind(fd).is_ok()
    }

    /// Reads what is there; zero bytes mean the end.
    ///
    /// # Errors
    /// [`Errno::AGAIN`] when nothing is there; else what the system says.
    pub fn read(&self, bytes: &mut [u8]) -> Result<usize, Errno> {
        match self.kind {
            Kind::Socket => recv(&self.fd, bytes, RecvFlags::DONTWAIT).map(|(count, _)| count),
            Kind::Pipe => match system::read_now(self.fd.as_fd(), bytes) {
                Err(Errno::OPNOTSUPP) => {
                    self.set_flag()?;
                    rustix::io::read(&self.fd, bytes)
                }
                read => read,
            },
        }
    }

    /// Writes as much as there is room for. Never raises `SIGPIPE` for a socket; for a pipe the process ignores it.
    ///
    /// # Errors
    /// [`Errno::AGAIN`] when there is no room; else what the system says.
    pub fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self.kind {
            Kind::Socket => send(&self.fd, bytes, SendFlags::DONTWAIT | QUIET),
            Kind::Pipe => match system::write_now(self.fd.as_fd(), bytes) {
                Err(Errno::OPNOTSUPP) => {
                    self.set_flag()?;
                    rustix::io::write(&self.fd, bytes)
                }
                written => written,
            },
        }
    }

    fn set_flag(&self) -> Result<(), Errno> {
        fcntl_setfl(&self.fd, fcntl_getfl(&self.fd)? | OFlags::NONBLOCK)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io::{IoSlice, IoSliceMut};
    use std::os::fd::BorrowedFd;

    use rustix::fs::{FsWord, fstatfs};
    use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2};

    pub(super) use rustix::net::sockopt::socket_domain as family;

    /// The current position, for calls that take one; pipes have no other.
    const HERE: u64 = u64::MAX;
    /// The file system of pipes without a name (`PIPEFS_MAGIC` of linux/magic.h).
    const PIPEFS: FsWord = 0x5049_5045;

    pub(super) fn has_no_name(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
        Ok(fstatfs(fd)?.f_type == PIPEFS)
    }

    pub(super) fn read_now(fd: BorrowedFd<'_>, bytes: &mut [u8]) -> Result<usize, Errno> {
        preadv2(fd, &mut [IoSliceMut::new(bytes)], HERE, ReadWriteFlags::NOWAIT)
    }

    pub(super) fn write_now(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
        pwritev2(fd, &[IoSlice::new(bytes)], HERE, ReadWriteFlags::NOWAIT)
    }
}

/// What macOS has. Compiled, never run.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::os::fd::BorrowedFd;

    use rustix::fs::fstat;
    use rustix::io::Errno;
    use rustix::net::AddressFamily;

    /// A pipe is on no device.
    pub(super) fn has_no_name(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
        Ok(fstat(fd)?.st_dev == 0)
    }

    pub(super) fn family(fd: BorrowedFd<'_>) -> Result<AddressFamily, Errno> {
        Ok(rustix::net::getsockname(fd)?.address_family())
    }

    /// No call says of itself that it must not wait: the caller sets the flag.
    pub(super) fn read_now(_: BorrowedFd<'_>, _: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    pub(super) fn write_now(_: BorrowedFd<'_>, _: &[u8]) -> Result<usize, Errno> {
        Err(Errno::OPNOTSUPP)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Both ends: written to the second, read from the first.
    fn pairs() -> [(Stream, Stream); 2] {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (left, right) = UnixStream::pair().unwrap();
        [(read, write), (left.into(), right.into())]
            .map(|(read, write)| (Stream::new(read).unwrap(), Stream::new(write).unwrap()))
    }

    #[test]
    fn nothing_waits() {
        for (read, write) in pairs() {
            let mut buffer = [0; 16];
            assert_eq!(read.read(&mut buffer), Err(Errno::AGAIN));
            assert_eq!(write.write(b"hello"), Ok(5));
            assert_eq!(read.read(&mut buffer), Ok(5));
            assert_eq!(&buffer[..5], b"hello");
            let full = loop {
                if let Err(errno) = write.write(&[0; 65536]) {
                    break errno;
                }
            };
            assert_eq!(full, Errno::AGAIN);
            drop(write);
            while read.read(&mut [0; 65536]).unwrap() > 0 {}
        }
        for (read, write) in pairs() {
            drop(read);
            assert_eq!(write.write(b"x"), Err(Errno::PIPE));
        }
    }

    #[test]
    fn files_and_devices_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let named = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &named, FileType::Fifo, 0o600.into(), 0).unwrap();
        let named = rustix::fs::open(&named, OFlags::RDWR | OFlags::CLOEXEC, 0.into()).unwrap();
        assert_eq!(Stream::new(named).err(), Some(Errno::INVAL));
        for path in ["/dev/zero", "/dev/null", "/proc/self/stat", "/"] {
            assert_eq!(Stream::new(File::open(path).unwrap().into()).err(), Some(Errno::INVAL), "{path}");
        }
    }
}
