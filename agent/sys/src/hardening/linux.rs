//! By prctl(2) and close_range(2).
#![expect(unsafe_code, reason = "close_range and PR_SET_MDWE have no safe binding")]

use std::io;
use std::os::fd::RawFd;

use rustix::process::{
    DumpableBehavior, Signal, dumpable_behavior, getppid, set_dumpable_behavior,
    set_parent_process_death_signal,
};

use super::Children;

pub(super) fn harden(children: Children) -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    refuse_executable_memory(children);
    Ok(())
}

pub(super) fn is_undumpable() -> bool {
    dumpable_behavior().is_ok_and(|found| found == DumpableBehavior::NotDumpable)
}

pub(super) fn gains_no_privileges() -> bool {
    rustix::thread::no_new_privs().unwrap_or(false)
}

/// `PR_SET_MDWE` and its flags, of linux/prctl.h.
const PR_SET_MDWE: libc::c_int = 65;
const PR_GET_MDWE: libc::c_int = 66;
const REFUSE_EXEC_GAIN: libc::c_ulong = 1;
const NO_INHERIT: libc::c_ulong = 2;

fn refuse_executable_memory(children: Children) {
    let set = |flags: libc::c_ulong| {
        let none: libc::c_ulong = 0;
        // SAFETY: this prctl takes numbers only and changes nothing in memory.
        unsafe { libc::prctl(PR_SET_MDWE, flags, none, none, none) == 0 }
    };
    // Where it does not take effect, `Hardening` says so.
    let _done = (children == Children::Free && set(REFUSE_EXEC_GAIN | NO_INHERIT)) || set(REFUSE_EXEC_GAIN);
}

pub(super) fn refuses_executable_memory() -> bool {
    let none: libc::c_ulong = 0;
    // SAFETY: this prctl takes numbers only and answers with one.
    let flags = unsafe { libc::prctl(PR_GET_MDWE, none, none, none, none) };
    flags > 0 && libc::c_ulong::from(flags.cast_unsigned()) & REFUSE_EXEC_GAIN != 0
}

/// Closes what the process inherited and was not meant to have: every descriptor from `first` on.
///
/// It belongs to the very start of a process, before anything else has opened a descriptor.
///
/// # Errors
/// What the system says, also where it does not have close_range(2), which came with Linux 5.9.
pub fn close_inherited(first: RawFd) -> io::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the caller has opened nothing yet, so nobody relies on these descriptors.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether processes of the same user may debug this one although [`harden`] forbids it.
///
/// The kernel leaves a process that is not dumpable to those with `CAP_SYS_PTRACE` in the user namespace where its
/// program was executed, and whoever made a user namespace has every capability in it, without being inside: under
/// rootless containers and sandboxed user services that is the user. It looks for the capability further up when the
/// process cannot read its own program: a program of root's with mode 0711 is safe there as well (SECURITY.md).
#[must_use]
pub fn is_open_to_its_user() -> bool {
    let initial = |map: String| map.split_whitespace().eq(["0", "0", "4294967295"]);
    let namespaced = std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !initial(map));
    namespaced && std::fs::File::open("/proc/self/exe").is_ok()
}

/// Has the kernel kill this process as soon as the thread that spawned it ends (`PR_SET_PDEATHSIG`).
///
/// `parent` is the process id the caller expects its parent to have: the peer of an inherited socket pair. When the
/// parent ended before the call, the kernel would never send the signal, so this fails.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when the parent is another process by now; else what the system says.
pub fn die_with_parent(parent: i32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    match getppid() {
        Some(pid) if pid.as_raw_nonzero().get() == parent => Ok(()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_a_process_open_is_seen() {
        // Run by cargo, the test's own program is readable: only the namespace decides.
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
        let initial = map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"];
        assert_eq!(is_open_to_its_user(), !initial);
    }

    #[test]
    fn another_parent_is_noticed() {
        assert_eq!(die_with_parent(-1).unwrap_err().kind(), io::ErrorKind::NotFound);
        set_parent_process_death_signal(None).unwrap();
    }
}
