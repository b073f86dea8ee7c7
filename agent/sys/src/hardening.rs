//! What each process of the agent does to itself before anything else.
//!
//! Here is what is cheap and always right. Locked memory (an arena that is locked, kept out of dumps and wiped on
//! free, and locked thread stacks) and the vault's sandbox (landlock, seccomp) belong after [`harden`] and before the
//! first thread; nothing in the vault needs a file or the network once it has started.

use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getppid, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};

/// Forbids core dumps, debugging by other processes of the same user, and gaining privileges by exec.
///
/// `PR_SET_DUMPABLE` is what stops dumps where core_pattern names a program; the limit stops them elsewhere.
/// Call it first thing in `main`.
///
/// # Errors
/// What the system says; a process that holds keys must then not go on.
pub fn harden() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
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
    fn hardening_takes_effect() {
        harden().unwrap();
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
        assert!(rustix::thread::no_new_privs().unwrap());
    }

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
