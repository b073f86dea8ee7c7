//! What macOS has of it. Compiled, never run: no Mac was at hand.
#![expect(
    unsafe_code,
    reason = "PT_DENY_ATTACH has no safe binding, and neither has closing what others opened"
)]

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, getppid, getrlimit};

use super::Children;

/// The most descriptors that a process has by default (sys/syslimits.h).
const OPEN_MAX: RawFd = 10_240;

/// Whether debuggers are refused: the system does not say so when asked.
static ATTACHING_DENIED: AtomicBool = AtomicBool::new(false);

/// `PT_DENY_ATTACH` of ptrace(2). Whoever has the task's port does not need ptrace, but only root and programs with an
/// entitlement get that one of a program with the hardened runtime.
pub(super) fn harden(_children: Children) -> io::Result<()> {
    let nothing = std::ptr::null_mut();
    // SAFETY: this request looks at no other argument, and changes nothing in memory.
    if unsafe { libc::ptrace(libc::PT_DENY_ATTACH, 0, nothing, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    ATTACHING_DENIED.store(true, Ordering::Relaxed);
    Ok(())
}

pub(super) fn is_undumpable() -> bool {
    ATTACHING_DENIED.load(Ordering::Relaxed)
}

/// There is no such promise.
pub(super) fn gains_no_privileges() -> bool {
    false
}

/// It comes with the hardened runtime, which is a matter of how a program is signed.
pub(super) fn refuses_executable_memory() -> bool {
    false
}

/// Closes what the process inherited and was not meant to have: every descriptor from `first` on.
///
/// It belongs to the very start of a process, before anything else has opened a descriptor.
///
/// # Errors
/// None: a number that is no descriptor's needs no closing.
pub fn close_inherited(first: RawFd) -> io::Result<()> {
    // No descriptor has a number from the limit on, unless the limit was lowered afterwards.
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| RawFd::try_from(limit).ok());
    for number in first..limit.unwrap_or(OPEN_MAX).max(OPEN_MAX) {
        // SAFETY: the caller has opened nothing yet, so nobody relies on these descriptors.
        let _closed = unsafe { libc::close(number) };
    }
    Ok(())
}

/// Whether processes of the same user may debug this one although [`super::harden`] forbids it: there are no user namespaces.
#[must_use]
pub fn is_open_to_its_user() -> bool {
    false
}

/// Checks that the parent is still the one the caller expects. There is no signal at its end: who calls this must end when the
/// socket to the parent is closed, as the vault does.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when the parent is another process by now.
pub fn die_with_parent(parent: i32) -> io::Result<()> {
    match getppid() {
        Some(pid) if pid.as_raw_nonzero().get() == parent => Ok(()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}
