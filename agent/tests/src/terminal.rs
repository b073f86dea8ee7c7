//! A terminal of the test's own, with a command on it: what the test writes is typed, what it reads is on the screen.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::process::{Process, eventually};

const LIMIT: Duration = Duration::from_secs(60);

/// A command on a terminal that is its controlling one.
pub struct Terminal {
    master: File,
    seen: Arc<Mutex<String>>,
    /// The command.
    pub process: Process,
}

impl Terminal {
    /// Starts a command, as a session leader of its own.
    #[must_use]
    pub fn run(program: &Path, arguments: &[&str], socket: &Path) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        tcsetwinsize(&master, Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        let slave =
            || OwnedFd::from(File::from(rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap()));
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program).args(arguments);
        command.env("LIFE_AGENT_SOCKET", socket).env("TERM", "xterm");
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        let master = File::from(master);
        let seen = Arc::new(Mutex::new(String::new()));
        let (mut reader, screen) = (master.try_clone().unwrap(), seen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                screen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Self { master, seen, process: Process::new(child) }
    }

    /// What was on the screen so far.
    #[must_use]
    pub fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until a text stands on the screen so many times.
    pub fn wait_for(&self, text: &str, times: usize) {
        let there = || self.seen().matches(text).count() >= times;
        eventually(&format!("{text:?} {times} times on the screen"), LIMIT, there);
    }

    /// Waits until the terminal shows what is typed, or does not.
    pub fn wait_for_echo(&self, on: bool) {
        eventually("the echo of the terminal", LIMIT, || self.echoes() == on);
    }

    /// Whether the terminal shows what is typed.
    #[must_use]
    pub fn echoes(&self) -> bool {
        tcgetattr(&self.master).unwrap().local_modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// Makes the terminal show what is typed.
    pub fn show_typing(&self) {
        let mut settings = tcgetattr(&self.master).unwrap();
        settings.local_modes.insert(LocalModes::ECHO | LocalModes::ICANON);
        tcsetattr(&self.master, OptionalActions::Now, &settings).unwrap();
    }

    /// Types.
    pub fn type_keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end and gives the exit code; nothing when a signal ended it.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.process.wait(LIMIT).expect("the command does not end").code()
    }
}
