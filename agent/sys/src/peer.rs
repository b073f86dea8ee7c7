//! Who is at the other end of a Unix socket.
#![expect(
    unsafe_code,
    reason = "SO_PEERCRED of a process in another pid namespace, SO_PEERPIDFD and LOCAL_PEERTOKEN have no safe binding"
)]

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod programs;
mod terminal;

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

#[cfg(target_os = "macos")]
pub use macos::{Peer, Programs, credentials};
#[cfg(target_os = "linux")]
pub use process::Peer;
#[cfg(target_os = "linux")]
pub use programs::Programs;
pub use terminal::Device;

/// The user, group and process that created the other end, as the kernel recorded them (`SO_PEERCRED`;
/// `LOCAL_PEERTOKEN` on macOS).
///
/// Enough to decide by user. Who wants to know the program takes a [`Peer`]: a process id alone may be another
/// process's by the time it is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// The process id; 0 for a process that this process's pid namespace does not have.
    pub pid: i32,
}

/// A parent process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its process id.
    pub pid: i32,
    /// Its program, under the same conditions as [`Peer::executable`].
    pub executable: Option<PathBuf>,
}

/// Asks the kernel who is at the other end.
///
/// # Errors
/// What the system says, for a socket that is not a connected Unix socket.
#[cfg(target_os = "linux")]
pub fn credentials(socket: impl AsFd) -> io::Result<Credentials> {
    let none = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let (found, whole) = socket_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, none)?;
    // What the kernel gives for a socket that is not connected.
    if found.uid == u32::MAX {
        return Err(io::ErrorKind::NotConnected.into());
    }
    if !whole {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Credentials { uid: found.uid, gid: found.gid, pid: found.pid })
}

/// The effective user id of this process.
#[must_use]
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// A descriptor of the process that created the other end (`SO_PEERPIDFD`, since Linux 6.5).
#[cfg(target_os = "linux")]
fn process_descriptor(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (number, whole) = socket_option::<libc::c_int>(socket, libc::SOL_SOCKET, libc::SO_PEERPIDFD, -1)?;
    if number < 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // SAFETY: the kernel has just made this descriptor for us (closed on exec); nobody else has it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    if whole { Ok(descriptor) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// An option, of a type that any bytes are a value of, and whether the kernel wrote all of it over what was there.
fn socket_option<T: Plain>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    before: T,
) -> io::Result<(T, bool)> {
    let mut value = before;
    let mut length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let room = (&raw mut value).cast();
    // SAFETY: `room` has `length` writable bytes, and `length` itself is writable.
    let done = unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, room, &raw mut length) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((value, usize::try_from(length).ok() == Some(size_of::<T>())))
}

/// Types of which any bytes are a value.
trait Plain {}
#[cfg(target_os = "linux")]
impl Plain for libc::c_int {}
#[cfg(target_os = "linux")]
impl Plain for libc::ucred {}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_pair_is_made_by_ourselves() {
        let (left, _right) = UnixStream::pair().unwrap();
        let found = credentials(&left).unwrap();
        assert_eq!(found.uid, own_uid());
        assert_eq!(u32::try_from(found.pid).unwrap(), std::process::id());
    }

    #[test]
    fn what_is_not_connected_has_no_peer() {
        let folder = tempfile::tempdir().unwrap();
        let lonely = std::os::unix::net::UnixDatagram::bind(folder.path().join("socket")).unwrap();
        assert_eq!(credentials(&lonely).unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert!(credentials(tempfile::tempfile().unwrap()).is_err());
    }
}
