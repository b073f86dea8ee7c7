//! Children that do not outlive whoever needs them.

#[cfg(target_os = "linux")]
use std::io;
#[cfg(target_os = "linux")]
use std::os::unix::process::CommandExt;
use std::process::Command;

#[cfg(target_os = "linux")]
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Has the kernel end the child (SIGTERM) as soon as the thread that spawns it ends, and with it the process.
///
/// Spawn it from a thread that lives as long as the child may.
#[cfg(target_os = "linux")]
pub fn end_with_spawner(command: &mut Command) {
    let parent = getpid();
    let before_exec = move || {
        set_parent_process_death_signal(Some(Signal::TERM))?;
        // It ended before the call above: nobody would tell us any more.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    #[expect(unsafe_code, reason = "what runs between fork and exec")]
    // SAFETY: the closure makes two system calls that are async-signal-safe, and allocates nothing.
    unsafe {
        command.pre_exec(before_exec);
    }
}

/// macOS has no such signal: a child ends there by itself when the pipes to it are closed. Compiled, never run.
#[cfg(not(target_os = "linux"))]
pub fn end_with_spawner(_command: &mut Command) {}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_child_ends_with_the_thread_that_started_it() {
        let thread = std::thread::spawn(|| {
            let mut command = Command::new("sleep");
            command.arg("600");
            end_with_spawner(&mut command);
            command.spawn().unwrap()
        });
        let mut child = thread.join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    }
}
