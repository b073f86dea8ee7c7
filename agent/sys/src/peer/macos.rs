//! The program at the other end, as macOS tells it. Compiled, never run: no Mac was at hand.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::{Credentials, Device, Parent, Plain, socket_option};

/// Names a process and not only its number (bsm/audit.h): the kernel changes it when the process executes a program, and
/// gives another one to a later process of the same number.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
struct Token([u32; 8]);

impl Plain for Token {}

#[link(name = "bsm")]
unsafe extern "C" {
    safe fn audit_token_to_euid(token: Token) -> libc::uid_t;
    safe fn audit_token_to_egid(token: Token) -> libc::gid_t;
    safe fn audit_token_to_pid(token: Token) -> libc::pid_t;
}

unsafe extern "C" {
    /// libproc.h, since macOS 11.
    fn proc_pidpath_audittoken(token: *mut Token, buffer: *mut libc::c_void, size: u32) -> libc::c_int;
}

/// Says which program a process runs. There is no sandbox here that would forbid to look.
#[derive(Default)]
pub struct Programs(());

impl Programs {
    /// Looks itself.
    #[must_use]
    pub fn own() -> Self {
        Self::default()
    }

    /// The same: nothing is confined that would need another process to look.
    ///
    /// # Errors
    /// None.
    pub fn beside() -> io::Result<Self> {
        Ok(Self::default())
    }
}

/// The process that connected, as it was when the connection was accepted.
///
/// The program is for people to read and for the record: it authorises nothing.
#[derive(Debug)]
pub struct Peer {
    /// The effective user id at the time of the connection.
    pub uid: u32,
    /// The effective group id at the time of the connection.
    pub gid: u32,
    /// The process id.
    pub pid: i32,
    /// Its program's file. None where the system does not say, or the process has executed another one since.
    pub executable: Option<PathBuf>,
    /// There are no control groups.
    pub cgroup: Option<String>,
    /// The process that started it, where that is still there.
    pub parent: Option<Parent>,
    /// The terminal it had.
    terminal: Option<Device>,
}

impl Peer {
    /// Looks at the process that connected.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when that process has ended: who spoke can then no longer be said. Else what the
    /// system says, for a socket that is not a connected Unix socket.
    pub fn capture(socket: impl AsFd, _programs: &Programs) -> io::Result<Self> {
        let socket = socket.as_fd();
        let mut token = token(socket)?;
        let Credentials { uid, gid, pid } = of(token);
        let about = about(pid).ok_or(io::ErrorKind::NotFound)?;
        // By the token, and last: a later process of that number has another one.
        let executable = path(|buffer, size| {
            // SAFETY: the buffer has that many writable bytes, and the token outlives the call.
            unsafe { proc_pidpath_audittoken(&raw mut token, buffer, size) }
        });
        let parent = i32::try_from(about.pbi_ppid).ok().filter(|parent| *parent > 0).map(|pid| Parent {
            pid,
            executable: path(|buffer, size| {
                // SAFETY: the buffer has that many writable bytes.
                unsafe { libc::proc_pidpath(pid, buffer, size) }
            }),
        });
        let terminal =
            rustix::fs::Dev::try_from(about.e_tdev).ok().filter(|device| *device > 0).map(Device::of);
        // Without that, whatever was found by number may be another process's.
        let (parent, terminal) = if executable.is_some() { (parent, terminal) } else { (None, None) };
        Ok(Self { uid, gid, pid, executable, cgroup: None, parent, terminal })
    }

    /// The controlling terminal that the process had when it was looked at.
    #[must_use]
    pub fn terminal(&self) -> Option<Device> {
        self.terminal
    }
}

/// Asks the kernel who is at the other end.
///
/// # Errors
/// What the system says, for a socket that is not a connected Unix socket.
pub fn credentials(socket: impl AsFd) -> io::Result<Credentials> {
    Ok(of(token(socket.as_fd())?))
}

fn of(token: Token) -> Credentials {
    Credentials {
        uid: audit_token_to_euid(token),
        gid: audit_token_to_egid(token),
        pid: audit_token_to_pid(token),
    }
}

fn token(socket: BorrowedFd<'_>) -> io::Result<Token> {
    let none = Token([u32::MAX; 8]);
    let (found, whole) = socket_option(socket, libc::SOL_LOCAL, libc::LOCAL_PEERTOKEN, none)?;
    if !whole {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if found == none {
        return Err(io::ErrorKind::NotConnected.into());
    }
    Ok(found)
}

fn about(pid: i32) -> Option<libc::proc_bsdinfo> {
    let mut found = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = libc::c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    // SAFETY: there are `size` writable bytes behind the pointer.
    let written =
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, 0, found.as_mut_ptr().cast(), size) };
    // SAFETY: the system wrote all of it, and any bytes are a value of this type.
    (written == size).then(|| unsafe { found.assume_init() })
}

fn path(ask: impl FnOnce(*mut libc::c_void, u32) -> libc::c_int) -> Option<PathBuf> {
    const LONGEST: u32 = 4 * libc::PATH_MAX.cast_unsigned();
    let mut bytes = vec![0; usize::try_from(LONGEST).ok()?];
    let length =
        usize::try_from(ask(bytes.as_mut_ptr().cast(), LONGEST)).ok().filter(|length| *length > 0)?;
    bytes.truncate(length);
    Some(PathBuf::from(OsString::from_vec(bytes)))
}
