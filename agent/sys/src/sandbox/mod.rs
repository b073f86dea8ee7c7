//! What a process takes away from itself for good, so that whoever takes it over finds little to use.
//!
//! Two layers of the kernel's, neither of which needs a privilege: landlock(7) forbids files, TCP and signals by object,
//! seccomp(2) forbids system calls by number and arguments and ends the whole process on a violation. What an older
//! kernel lacks is reported, and the caller decides whether to go on.

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(target_os = "linux")]
mod calls;
#[cfg(target_os = "linux")]
mod files;

#[cfg(target_os = "linux")]
use std::io;
use std::path::{Path, PathBuf};

use crate::hardening::Hardening;

#[cfg(not(target_os = "linux"))]
use absent::{self as calls, self as files};

/// Why a process could not be confined. It may be confined in part by then, and should end.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel has landlock, and refused the rules.
    #[cfg(target_os = "linux")]
    #[error("landlock refused the rules: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The kernel has seccomp, and refused the filter.
    #[cfg(target_os = "linux")]
    #[error("seccomp refused the filter: {0}")]
    Seccomp(#[from] seccompiler::Error),
    /// The architecture is none that the filter is written for.
    #[error("there is no list of system calls for this architecture")]
    UnknownArchitecture,
}

#[cfg(target_os = "linux")]
impl From<seccompiler::BackendError> for SandboxError {
    fn from(error: seccompiler::BackendError) -> Self {
        Self::Seccomp(error.into())
    }
}

/// How much of what it was asked for landlock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Nothing: the kernel does not have it, or it is switched off.
    None,
    /// What an older version of it has: files, but not all of TCP, devices, abstract sockets and signals.
    Partial,
    /// All that is promised.
    Full,
}

/// What a process does to itself, as far as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Landlock's version in this kernel; 0 for none.
    pub landlock_abi: u32,
    /// How much of what landlock is asked for it does.
    pub landlock: Enforcement,
    /// Whether system calls are filtered.
    pub seccomp: bool,
}

/// All that a process does to protect itself, as far as it took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// What holds of the process.
    pub hardening: Hardening,
    /// What it took away from itself.
    pub confinement: Confinement,
}

impl Protection {
    /// The names of what a vault should have and this one lacks, for want of a kernel that has it.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let mut missing = self.hardening.missing();
        missing.extend((self.confinement.landlock != Enforcement::Full).then_some("landlock"));
        missing.extend((!self.confinement.seccomp).then_some("seccomp"));
        missing
    }
}

/// Whether the process may later talk to card readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cards {
    /// It makes no sockets at all.
    #[default]
    Off,
    /// It may make Unix sockets and connect to the one at this path, which is pcscd's. Where the kernel can tell sockets
    /// apart, to others in the same folder too, which is pcscd's own: who restarts it makes a new one there.
    On(PathBuf),
}

/// Confines the calling process to what the vault does once it runs: computing, its threads, its locked memory, and the
/// descriptors that it has or is sent. No file, no program, no network, no other process, no executable memory.
///
/// A forbidden system call ends the whole process with `SIGSYS`. It holds for the calling thread and those that it starts: call
/// it before the first. `PR_SET_NO_NEW_PRIVS` must be set, as [`crate::hardening::harden`] does.
///
/// # Errors
/// [`SandboxError`]; never for what the kernel does not have, which is reported.
pub fn confine_vault(cards: &Cards) -> Result<Confinement, SandboxError> {
    let (landlock_abi, landlock) = files::forbid_all(cards)?;
    let seccomp = calls::allow_only_the_vaults(cards)?;
    Ok(Confinement { landlock_abi, landlock, seccomp })
}

/// What a broker writes and executes, beside devices and the system's programs. Its children are held to the same.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Folders below which it writes; each has to be there.
    pub writable: Vec<PathBuf>,
    /// Folders of programs that it starts.
    pub executable: Vec<PathBuf>,
}

impl Places {
    /// Whether a program that is there may be started once the broker is confined.
    #[must_use]
    pub fn allow(&self, program: &Path) -> bool {
        program.canonicalize().is_ok_and(|program| files::is_executable(&program, &self.executable))
    }
}

/// Confines the calling process to writing and executing in few places, and to signals for itself and what it starts. For
/// a process that needs the network and reads much of the system; it may look at no other process's program any
/// more ([`crate::peer::Programs::beside`]).
///
/// It holds for the calling thread and those that it starts: call it before the first. `PR_SET_NO_NEW_PRIVS` must be set.
///
/// # Errors
/// [`SandboxError`]; never for what the kernel does not have, which is reported.
pub fn confine_broker(places: &Places) -> Result<Confinement, SandboxError> {
    let (landlock_abi, landlock) = files::forbid_writing(&places.writable, &places.executable)?;
    Ok(Confinement { landlock_abi, landlock, seccomp: false })
}

/// Confines the process that looks at others for a broker, by seccomp where the kernel has it.
#[cfg(target_os = "linux")]
pub(crate) fn confine_looker() -> Result<bool, SandboxError> {
    calls::allow_only_looking()
}

/// Whether the kernel has landlock.
#[must_use]
pub fn has_landlock() -> bool {
    files::abi() > 0
}

/// What of landlock and seccomp this kernel does not have, or not well enough for [`confine_vault`] to be complete, with
/// [`Cards::On`] or without; without changing anything. For who wants to know before there is a vault.
#[must_use]
pub fn kernel_lacks(cards: bool) -> Vec<&'static str> {
    let landlock = files::abi() >= files::complete(cards);
    [("landlock", landlock), ("seccomp", calls::is_available())]
        .into_iter()
        .filter_map(|(name, there)| (!there).then_some(name))
        .collect()
}

/// Whether the kernel does not have what was called for, in contrast to refusing it.
#[cfg(target_os = "linux")]
fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP))
}
