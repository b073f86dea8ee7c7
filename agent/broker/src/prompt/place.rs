//! Where a prompt appears: a display of this machine, or the caller's own terminal.

use std::os::fd::OwnedFd;

use life_proto::v1::PromptSource;
use life_sys::peer::{Device, Peer, own_uid};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::{Error, Result};

/// A place that was looked at.
#[derive(Default)]
pub struct Place {
    /// The environment variable for the display, and its value.
    pub display: Option<(&'static str, String)>,
    /// The terminal.
    pub terminal: Option<Terminal>,
}

impl Place {
    /// Looks at what a caller names.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a display that is none of this machine, and for a terminal that is not the caller's.
    pub fn of(source: &PromptSource, caller: Option<&Peer>) -> Result<Self> {
        let controlling = caller.and_then(Peer::terminal);
        Self::checked(source, controlling)
    }

    fn checked(source: &PromptSource, controlling: Option<Device>) -> Result<Self> {
        let display = match source.display.as_str() {
            "" => None,
            text if is_wayland(text) => Some(("WAYLAND_DISPLAY", text.to_owned())),
            text if is_x11(text) => Some(("DISPLAY", text.to_owned())),
            _ => return Err(Error::field("secret.prompt.display", "is not a display of this machine")),
        };
        let terminal = match source.terminal.as_str() {
            "" => None,
            path => Some(Terminal::of(path, controlling).map_err(|why| Error::field(TERMINAL, why))?),
        };
        Ok(Self { display, terminal })
    }
}

const TERMINAL: &str = "secret.prompt.terminal";

/// `wayland-0`: a socket's name in the runtime folder, never a path.
fn is_wayland(text: &str) -> bool {
    let name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    text.starts_with("wayland-") && text.len() <= 64 && text.bytes().all(name)
}

/// `:0`, `:0.1`, `unix:0`, and `localhost:10.0`, as ssh forwards it. What is typed at a display goes to whoever has it,
/// so no other machine's is taken.
fn is_x11(text: &str) -> bool {
    let Some((host, number)) = text.split_once(':') else { return false };
    let digits = |text: &str| (1..=5).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    let (display, screen) = number.split_once('.').unwrap_or((number, "0"));
    matches!(host, "" | "unix" | "localhost") && digits(display) && digits(screen)
}

/// The caller's terminal, with the settings it had: they come back when this is dropped, however a pinentry left it.
pub struct Terminal {
    /// Its path.
    pub path: String,
    file: OwnedFd,
    before: Termios,
}

impl Terminal {
    /// Opens the terminal that is a process's controlling one; says why not.
    fn of(path: &str, controlling: Option<Device>) -> Result<Self, &'static str> {
        // Only where the system itself makes terminals: pinentry opens the path once more, and a link in a folder of somebody
        // else's could lead elsewhere by then.
        let name = path.strip_prefix("/dev/").map(|name| name.strip_prefix("pts/").unwrap_or(name));
        let good = name.is_some_and(|name| {
            (1..=16).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric())
        });
        if !good {
            return Err("is not the path of a terminal");
        }
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|_| "cannot be opened")?;
        let stat = fstat(&file).map_err(|_| "cannot be looked at")?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice {
            return Err("is not a terminal");
        }
        if stat.st_uid != own_uid() {
            return Err("belongs to another user");
        }
        if controlling != Some(Device::of(stat.st_rdev)) {
            return Err("is not the controlling terminal of the program that asks");
        }
        let before = tcgetattr(&file).map_err(|_| "is not a terminal")?;
        Ok(Self { path: path.to_owned(), file, before })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may be gone.
        let _ = tcsetattr(&self.file, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::LocalModes;

    use super::*;
    use crate::error::Fault;

    fn place(display: &str, terminal: &str, controlling: Option<Device>) -> Result<Place> {
        let source = PromptSource { display: display.to_owned(), terminal: terminal.to_owned() };
        Place::checked(&source, controlling)
    }

    #[test]
    fn displays_are_of_this_machine() {
        for (text, variable) in [
            (":0", "DISPLAY"),
            (":10.2", "DISPLAY"),
            ("unix:1", "DISPLAY"),
            ("localhost:10.0", "DISPLAY"),
            ("wayland-0", "WAYLAND_DISPLAY"),
        ] {
            assert_eq!(place(text, "", None).unwrap().display, Some((variable, text.to_owned())));
        }
        for text in [
            "0",
            "--help",
            ":0;rm",
            "evil.example:0",
            "10.0.0.1:0",
            ":",
            ":0.",
            ":x",
            "wayland-0/../x",
            "wayland-/x",
            "\n:0",
        ] {
            assert_eq!(place(text, "", None).err().unwrap().fault(), Fault::InvalidArgument, "{text}");
        }
    }

    #[test]
    fn a_terminal_is_the_callers_controlling_one_and_is_left_as_it_was() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let device = Device::of(rustix::fs::stat(&name).unwrap().st_rdev);
        let other = Device { minor: device.minor + 1, ..device };
        for controlling in [None, Some(other)] {
            let refused = place("", &name, controlling).err().unwrap();
            assert_eq!(refused.fault(), Fault::InvalidArgument);
            assert_eq!(refused.metadata("field"), Some(TERMINAL));
        }
        for path in ["/etc/passwd", "/dev/../etc/passwd", "/dev/null", "/dev/pts/none", "/dev/tty", "-x"] {
            assert!(place("", path, Some(device)).is_err(), "{path}");
        }
        let opened = place("", &name, Some(device)).unwrap();
        let terminal = opened.terminal.as_ref().unwrap();
        let mut silent = terminal.before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&master, OptionalActions::Now, &silent).unwrap();
        drop(opened);
        assert!(tcgetattr(&master).unwrap().local_modes.contains(LocalModes::ECHO));
    }
}
