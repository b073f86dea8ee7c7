//! The program at the other end, looked at without being taken in by a process id that changes hands.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::ClockId;

use super::{Credentials, Parent, Programs, credentials, process_descriptor};

/// More than `stat` or `cgroup` of a process ever have.
const LONGEST: u64 = 16 * 1024;

/// The process that connected, as it was when the connection was accepted.
///
/// The program is for people to read and for the record: it authorises nothing. A process that connects and then
/// executes another program is recorded as whichever it was when it was looked at, and a process of the same user can run
/// any program it likes and lead it from outside.
#[derive(Debug)]
pub struct Peer {
    /// The effective user id at the time of the connection.
    pub uid: u32,
    /// The effective group id at the time of the connection.
    pub gid: u32,
    /// The process id; 0 for a process of another pid namespace, such as in a container, of which nothing more is known.
    pub pid: i32,
    /// Its program, as the kernel names it: with ` (deleted)` at the end when the file is gone, and by a path of the
    /// process's own mount namespace. None where this process may not look: a process of another user, one that forbids
    /// it (not dumpable), or one of another pid namespace.
    pub executable: Option<PathBuf>,
    /// The path of its control group, such as `/user.slice/…/app-praxis.scope`.
    pub cgroup: Option<String>,
    /// The process that started it, where that is still there.
    pub parent: Option<Parent>,
    /// `/proc/PID`: bound to the process, not to its number.
    folder: Option<OwnedFd>,
}

/// How the process behind a socket is held on to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By the descriptor that the kernel keeps with the socket (`SO_PEERPIDFD`): it is the process that connected.
    Socket,
    /// By process id, on kernels before 6.5. What started after the connection was accepted is refused; a number that
    /// changed hands between connection and acceptance is not noticed, unless the connection was closed with it.
    Number,
}

impl Peer {
    /// Looks at the process that connected; `programs` says which program it runs.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when that process has ended: who spoke can then no longer be said. Else what the
    /// system says, for a socket that is not a connected Unix socket.
    pub fn capture(socket: impl AsFd, programs: &Programs) -> io::Result<Self> {
        let socket = socket.as_fd();
        match Self::look(socket, programs, Way::Socket) {
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => {
                Self::look(socket, programs, Way::Number)
            }
            found => found,
        }
    }

    /// The order makes it safe: the process is held by a descriptor first, then its folder is opened and read, and when
    /// it has not ended even then, its number was its own all the time, and so was the folder.
    fn look(socket: BorrowedFd<'_>, programs: &Programs, way: Way) -> io::Result<Self> {
        let now = ticks_since_boot();
        let Credentials { uid, gid, pid } = credentials(socket)?;
        let number = Pid::from_raw(pid);
        let process = match (way, number) {
            (Way::Socket, _) => process_descriptor(socket).map_err(gone)?,
            (Way::Number, Some(number)) => {
                pidfd_open(number, PidfdFlags::empty()).map_err(|error| gone(error.into()))?
            }
            (Way::Number, None) => return Ok(Self::unknown(uid, gid, pid)),
        };
        let folder = number.and_then(|_| folder(pid));
        let mut peer = Self::unknown(uid, gid, pid);
        if let Some(folder) = folder {
            let stat = Stat::read(&folder);
            if way == Way::Number && stat.as_ref().is_none_or(|stat| stat.start > now) {
                return Err(io::ErrorKind::NotFound.into());
            }
            peer.executable = programs.of(folder.as_fd());
            peer.cgroup = cgroup(&folder);
            peer.parent = stat.and_then(|stat| parent(&folder, programs, stat.parent));
            peer.folder = Some(folder);
        }
        let closed = way == Way::Number && is_ready(socket, PollFlags::HUP);
        if closed || is_ready(process.as_fd(), PollFlags::IN) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(peer)
    }

    fn unknown(uid: u32, gid: u32, pid: i32) -> Self {
        Self { uid, gid, pid, executable: None, cgroup: None, parent: None, folder: None }
    }

    /// Reads a file of the process's folder in `/proc`, such as `stat`: of this process as it is now, never of a later
    /// one with its number. At most 16 KiB.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when the process has ended or nothing is known of it; else what the system says.
    pub fn read(&self, file: &str) -> io::Result<Vec<u8>> {
        let folder = self.folder.as_ref().ok_or(io::ErrorKind::NotFound)?;
        read(folder, file).map_err(gone)
    }
}

/// The end of a process is one kind of error, whatever the system calls it.
fn gone(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ESRCH | libc::EINVAL | libc::ENOENT | libc::ENODATA) => io::ErrorKind::NotFound.into(),
        _ => error,
    }
}

fn is_ready(descriptor: BorrowedFd<'_>, what: PollFlags) -> bool {
    let mut one = [PollFd::from_borrowed_fd(descriptor, what)];
    // What cannot be asked is not believed to live.
    let asked = poll(&mut one, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    asked.is_err() || one.iter().any(|one| one.revents().intersects(what | PollFlags::NVAL | PollFlags::ERR))
}

fn folder(pid: i32) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).ok()
}

fn read(folder: &OwnedFd, file: &str) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = std::fs::File::from(openat(folder, file, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The unified hierarchy's line, `0::PATH`; else the first one's path.
fn cgroup(folder: &OwnedFd) -> Option<String> {
    let text = String::from_utf8(read(folder, "cgroup").ok()?).ok()?;
    let path = |line: &str| line.splitn(3, ':').nth(2).map(str::to_owned);
    text.lines().find(|line| line.starts_with("0::")).or(text.lines().next()).and_then(path)
}

/// A process that is still the parent after its folder was opened was so at that time, and not a later one of its number.
fn parent(folder_of_child: &OwnedFd, programs: &Programs, pid: i32) -> Option<Parent> {
    let executable = programs.of(folder(pid)?.as_fd());
    (Stat::read(folder_of_child)?.parent == pid).then_some(Parent { pid, executable })
}

/// What `stat` of a process says (proc_pid_stat(5)).
struct Stat {
    parent: i32,
    /// When it started, in clock ticks since the machine did.
    start: u64,
}

impl Stat {
    fn read(folder: &OwnedFd) -> Option<Self> {
        let text = String::from_utf8_lossy(&read(folder, "stat").ok()?).into_owned();
        // The second field is a name that may hold anything, parentheses included.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?;
        Some(Self { parent, start: fields.nth(17)?.parse().ok()? })
    }
}

fn ticks_since_boot() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    let (seconds, part) = (now.tv_sec.cast_unsigned(), now.tv_nsec.cast_unsigned());
    let ticks = rustix::param::clock_ticks_per_second();
    seconds * ticks + part * ticks / 1_000_000_000
}

#[cfg(test)]
mod tests;
