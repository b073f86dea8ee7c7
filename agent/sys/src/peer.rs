//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::AsFd;

/// The user, group and process that created the other end, as the kernel recorded them (`SO_PEERCRED`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The effective user id.
    pub uid: u32,
    /// The effective group id.
    pub gid: u32,
    /// The process id. It may have ended, or have executed another program, since.
    pub pid: i32,
}

/// Asks the kernel who is at the other end.
///
/// # Errors
/// What the system says, for a socket that is not a connected Unix socket.
pub fn peer(socket: impl AsFd) -> io::Result<Peer> {
    let credentials = rustix::net::sockopt::socket_peercred(socket)?;
    Ok(Peer {
        uid: credentials.uid.as_raw(),
        gid: credentials.gid.as_raw(),
        pid: credentials.pid.as_raw_nonzero().get(),
    })
}

/// The effective user id of this process.
#[must_use]
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_pair_is_made_by_ourselves() {
        let (left, _right) = UnixStream::pair().unwrap();
        let peer = peer(&left).unwrap();
        assert_eq!(peer.uid, own_uid());
        assert_eq!(u32::try_from(peer.pid).unwrap(), std::process::id());
    }
}
