//! Which program a process runs, asked of a process that may look.
//!
//! To read the link `/proc/PID/exe` counts as debugging, and landlock forbids a confined process that towards all that
//! are not confined with it, whatever else its rules are about. So a process that is to be confined and has to say who
//! asks starts one beside it first, which is not. That one can do little else: it has one socket and no other
//! descriptor, seccomp leaves it what the answer takes, and the answer is where the link `exe` of a folder leads whose
//! descriptor it is sent.
#![expect(unsafe_code, reason = "a process that goes on with this program's code is made by fork(2)")]

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::readlinkat;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

use crate::descriptors::{recv_with_fds, send_with_fds};
use crate::hardening::{close_inherited, leave_signals_to_parent};
use crate::sandbox::confine_looker;

/// An answer comes within microseconds. Somebody who stops the other process must not stop this one.
const PATIENCE: Duration = Duration::from_secs(1);
/// A number and a path.
const LONGEST: usize = 8 + libc::PATH_MAX as usize;

/// Says which program a process runs.
#[derive(Default)]
pub struct Programs(Option<Mutex<Beside>>);

/// The process that looks.
struct Beside {
    socket: OwnedFd,
    /// Of the last question: an answer that comes too late is not taken for the next one's.
    number: u64,
}

impl Programs {
    /// Looks itself: for a process that is not confined.
    #[must_use]
    pub fn own() -> Self {
        Self::default()
    }

    /// Starts the process that looks. It ends with the calling thread and its process, and is not started again: without
    /// it, programs are unknown.
    ///
    /// # Errors
    /// [`io::ErrorKind::Other`] when this process has other threads, whose locks the new one would keep for ever; else
    /// what the system says.
    pub fn beside() -> io::Result<Self> {
        if std::fs::read_dir("/proc/self/task")?.count() != 1 {
            return Err(io::Error::other("there is another thread already"));
        }
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        set_socket_timeout(&ours, Timeout::Recv, Some(PATIENCE))?;
        set_socket_timeout(&ours, Timeout::Send, Some(PATIENCE))?;
        let this = getpid();
        // SAFETY: there is no other thread, so the new process has all it needs; it never returns from `serve`.
        match unsafe { libc::fork() } {
            ..0 => Err(io::Error::last_os_error()),
            0 => serve(theirs, this),
            _ => Ok(Self(Some(Mutex::new(Beside { socket: ours, number: 0 })))),
        }
    }

    /// The program of the process whose folder in `/proc` this is; none where nobody may look or nobody answers.
    pub(super) fn of(&self, folder: BorrowedFd<'_>) -> Option<PathBuf> {
        let path = match &self.0 {
            None => look(folder)?,
            Some(beside) => beside.lock().unwrap_or_else(PoisonError::into_inner).ask(folder)?,
        };
        Some(PathBuf::from(OsString::from_vec(path)))
    }
}

impl Beside {
    fn ask(&mut self, folder: BorrowedFd<'_>) -> Option<Vec<u8>> {
        self.number += 1;
        send_with_fds(&self.socket, &self.number.to_ne_bytes(), &[folder]).ok()?;
        let mut answer = [0; LONGEST];
        loop {
            let (count, _) = recv(&self.socket, &mut answer, RecvFlags::empty()).ok()?;
            let (number, path) = answer.get(..count)?.split_first_chunk()?;
            if *number == self.number.to_ne_bytes() {
                return Some(path.to_vec()).filter(|path| !path.is_empty());
            }
        }
    }
}

fn look(folder: BorrowedFd<'_>) -> Option<Vec<u8>> {
    Some(readlinkat(folder, "exe", Vec::new()).ok()?.into_bytes())
}

/// The other process, from its first to its last moment.
fn serve(socket: OwnedFd, parent: Pid) -> ! {
    let _ended = answer_all(socket, parent);
    // SAFETY: the process ends, and with it all that it has.
    unsafe { libc::_exit(0) }
}

fn answer_all(socket: OwnedFd, parent: Pid) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(parent) {
        return Ok(());
    }
    leave_signals_to_parent();
    rustix::thread::set_name(c"life-programs")?;
    rustix::stdio::dup2_stdin(&socket)?;
    // It is closed with all others.
    let _closed = socket.into_raw_fd();
    close_inherited(1)?;
    confine_looker().map_err(io::Error::other)?;
    let socket = rustix::stdio::stdin();
    let mut number = [0; 8];
    let mut folders = Vec::new();
    while recv_with_fds(socket, &mut number, &mut folders)? == number.len() {
        let path = folders.pop().and_then(|folder: OwnedFd| look(folder.as_fd())).unwrap_or_default();
        folders.clear();
        send(socket, &[&number[..], &path].concat(), SendFlags::NOSIGNAL)?;
    }
    Ok(())
}
