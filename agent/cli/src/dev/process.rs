//! Processes that outlive this program, known by process id and start time, since ids are used again.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use life_sys::peer::own_uid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The programs that `up` starts.
const PROGRAMS: &[&str] = &["life-agentd", "life-platform"];
/// How long a process may take to start.
const START: Duration = Duration::from_secs(30);
/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long an ended process may remain as an entry in the table of processes.
const REAPING: Duration = Duration::from_secs(2);

/// A process that was started, perhaps by an earlier run of this program.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Process {
    /// What it is.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did (proc_pid_stat(5), field 22).
    start_time: u64,
    /// Which run of the machine that counts from.
    boot_id: String,
}

/// A process this program started.
pub struct Started {
    /// How it is known from now on.
    pub process: Process,
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

/// Starts a process in a process group of its own, so that Ctrl-C reaches only this program. What it prints goes to
/// files.
pub fn spawn(name: &str, mut command: Command, logs: &Path) -> Result<Started, Error> {
    let (out, log) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.log")));
    command.stdin(Stdio::null()).stdout(private_file(&out)?).stderr(private_file(&log)?).process_group(0);
    let failed = |error: io::Error| Error::Dev(format!("{name} does not start: {error}"));
    let child = command.spawn().map_err(failed)?;
    let process = known(name, child.id()).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    Ok(Started { process, child, out, log })
}

/// How a running process is known from now on.
pub(super) fn known(name: &str, pid: u32) -> Option<Process> {
    Some(Process { name: name.to_owned(), pid, start_time: start_time(pid)?, boot_id: boot_id() })
}

fn private_file(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    opened.map_err(|error| Error::create(path, error))
}

impl Started {
    /// Waits until `ready` finds what it looks for, while the process lives.
    pub async fn wait_until<T>(&mut self, ready: impl AsyncFn(&Path) -> Option<T>) -> Result<T, Error> {
        let end = Instant::now() + START;
        loop {
            if let Some(found) = ready(&self.out).await {
                return Ok(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failure(&format!("ended with {status}")));
            }
            if Instant::now() > end {
                return Err(self.failure("is not ready after 30 seconds"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether the process has ended, and how.
    pub fn ended(&mut self) -> Option<Error> {
        let status = self.child.try_wait().ok()??;
        Some(self.failure(&format!("ended with {status}")))
    }

    fn failure(&self, what: &str) -> Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        let tail: String = lines.iter().rev().map(|line| format!("\n  {line}")).collect();
        Error::Dev(format!("{} {what}; its log ends:{tail}", self.process.name))
    }
}

impl Process {
    /// Asks the process to end, waits, and kills it when it does not. Does nothing when it has ended already, or when
    /// its id is another process's by now.
    pub fn end(&self) -> Result<(), Error> {
        let failed = |error: io::Error| {
            Error::Dev(format!("cannot end {} (process {}): {error}", self.name, self.pid))
        };
        let Some(handle) = self.handle().map_err(failed)? else {
            return Ok(());
        };
        for (signal, patience) in [(Signal::TERM, PATIENCE), (Signal::KILL, PATIENCE)] {
            match pidfd_send_signal(&handle, signal) {
                Ok(()) => {}
                Err(rustix::io::Errno::SRCH) => return Ok(()),
                Err(error) => return Err(failed(error.into())),
            }
            if has_ended(&handle, patience).map_err(failed)? {
                self.wait_until_reaped();
                return Ok(());
            }
        }
        Err(failed(io::ErrorKind::TimedOut.into()))
    }

    /// Waits a little until nothing of an ended process is left to see: its parent, be it this program or the
    /// machine's first process, has still to take note of its end.
    fn wait_until_reaped(&self) {
        let end = Instant::now() + REAPING;
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        while Path::new(&format!("/proc/{}", self.pid)).exists() && Instant::now() < end {
            let _not_our_child = waitpid(pid, WaitOptions::NOHANG);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Refuses a live process that is none of our programs, or another user's: `up` did not start it.
    pub fn check(&self) -> Result<(), Error> {
        let refused = |why: io::Error| {
            Error::Config(format!("process {} ({}): {why}: nothing was ended", self.pid, self.name))
        };
        self.handle().map(drop).map_err(refused)
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        self.handle().is_ok_and(|handle| handle.is_some())
    }

    /// A handle that stays with this process, or nothing when it has ended.
    fn handle(&self) -> io::Result<Option<OwnedFd>> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Compared after the handle is open: from here on the id cannot change hands.
        let same = start_time(self.pid) == Some(self.start_time) && boot_id() == self.boot_id;
        if same && !is_ours(self.pid) {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is no process that `up` started",
            ));
        }
        Ok(same.then_some(handle))
    }
}

fn has_ended(handle: &OwnedFd, patience: Duration) -> io::Result<bool> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos() as _ };
        let mut waits = [PollFd::new(handle, PollFlags::IN)];
        match poll(&mut waits, Some(&timeout)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Field 22 of /proc/PID/stat; nothing for a process that is gone or a zombie.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything, brackets too.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether a process runs one of our programs for this user.
///
/// A hardened process does not show its executable to its own user; then its name has to do.
fn is_ours(pid: u32) -> bool {
    let program = match fs::read_link(format!("/proc/{pid}/exe")) {
        Ok(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
        Err(_) => fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned()),
    };
    // The kernel marks a program that was replaced or removed while it runs.
    let program = program.unwrap_or_default();
    let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
    PROGRAMS.contains(&program) && uid(pid) == Some(own_uid())
}

/// The effective user id of a process.
fn uid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (Started, tempfile::TempDir) {
        let logs = tempfile::tempdir().unwrap();
        // A program of our name. It is another process that writes it: a program open for writing cannot be started.
        let program = logs.path().join("life-agentd");
        assert!(Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
        let mut command = Command::new(program);
        command.arg("600");
        (spawn("sleeper", command, logs.path()).unwrap(), logs)
    }

    #[test]
    fn a_program_of_another_name_is_not_ours() {
        let (sleeper, logs) = sleeper();
        sleeper.process.check().unwrap();
        fs::remove_file(logs.path().join("life-agentd")).unwrap();
        sleeper.process.check().unwrap();
        sleeper.process.end().unwrap();
        let mut other = Command::new("sleep").arg("600").spawn().unwrap();
        let process = known("agent", other.id()).unwrap();
        assert!(!process.is_alive());
        assert!(process.check().is_err() && process.end().is_err());
        assert!(other.try_wait().unwrap().is_none(), "it was ended");
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn a_process_is_ended_once() {
        let (sleeper, _logs) = sleeper();
        assert!(sleeper.process.is_alive());
        sleeper.process.end().unwrap();
        assert!(!Path::new(&format!("/proc/{}", sleeper.process.pid)).exists());
        assert!(!sleeper.process.is_alive());
        sleeper.process.end().unwrap();
    }

    #[test]
    fn a_process_with_another_start_time_is_left_alone() {
        let (mut sleeper, _logs) = sleeper();
        let other = Process { start_time: sleeper.process.start_time + 1, ..sleeper.process.clone() };
        assert!(!other.is_alive());
        other.end().unwrap();
        let other = Process { boot_id: "another boot".into(), ..sleeper.process.clone() };
        other.end().unwrap();
        assert!(sleeper.ended().is_none());
        sleeper.process.end().unwrap();
        assert!(!sleeper.process.is_alive());
    }
}
