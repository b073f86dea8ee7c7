//! What each process of the agent does to itself before anything else.
//!
//! Here is what is cheap and always right. The vault's sandbox ([`crate::sandbox`]) and its locked memory come after
//! [`harden`] and before the first thread; nothing in the vault needs a file or the network once it has started. What a
//! system does not have is reported as missing ([`Hardening`]).

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

pub use system::{close_inherited, die_with_parent, is_open_to_its_user};

/// Whether programs that a process starts are held to the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// They are, as far as the kernel hands it on.
    Bound,
    /// They are not where the kernel can tell the two apart (since Linux 6.6): they are programs of others.
    Free,
}

/// What holds for a process, as the kernel says when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// Whether processes of the same user may neither debug it nor have it dumped (`PR_SET_DUMPABLE`; `PT_DENY_ATTACH` on
    /// macOS, which cannot be asked: there it says whether the call succeeded).
    pub undumpable: bool,
    /// Whether it writes no core file (`RLIMIT_CORE`).
    pub no_core: bool,
    /// Whether neither it nor its children gain privileges by executing something.
    pub no_new_privileges: bool,
    /// Whether the kernel refuses it memory that is written and executed (`PR_SET_MDWE`, since Linux 6.3).
    pub no_executable_memory: bool,
}

impl Hardening {
    /// The names of what does not hold.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        [
            ("undumpable", self.undumpable),
            ("no_core", self.no_core),
            ("no_new_privileges", self.no_new_privileges),
            ("no_executable_memory", self.no_executable_memory),
        ]
        .into_iter()
        .filter_map(|(name, holds)| (!holds).then_some(name))
        .collect()
    }

    /// Asks the kernel about the calling process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            undumpable: system::is_undumpable(),
            no_core: getrlimit(Resource::Core).current == Some(0),
            no_new_privileges: system::gains_no_privileges(),
            no_executable_memory: system::refuses_executable_memory(),
        }
    }
}

/// Forbids core dumps, debugging by other processes of the same user, gaining privileges by exec, and, where the kernel
/// can, memory that is first written and then executed.
///
/// `PR_SET_DUMPABLE` is what stops dumps where core_pattern names a program; the limit stops them elsewhere.
/// Call it first thing in `main`. [`Hardening::of_this_process`] tells what took effect.
///
/// # Errors
/// What the system says; a process that holds keys must then not go on.
pub fn harden(children: Children) -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    system::harden(children)
}

/// Ignores what a terminal or its end sends to all of a shell's job (`SIGINT`, `SIGQUIT`, `SIGHUP`), and `SIGPIPE`.
///
/// For a child whose parent gets the same signals and decides: it ends with its parent anyway.
#[expect(unsafe_code, reason = "signal dispositions have no safe binding")]
pub fn leave_signals_to_parent() {
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGPIPE] {
        // SAFETY: to ignore a signal runs no handler of ours.
        let _before = unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardening_takes_effect() {
        harden(Children::Bound).unwrap();
        let found = Hardening::of_this_process();
        assert!(found.undumpable && found.no_core && found.no_new_privileges, "{found:?}");
    }
}
