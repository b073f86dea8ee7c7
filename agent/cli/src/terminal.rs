//! The terminal as a place for secrets: typed without being shown, and shown once.
//!
//! Its settings come back however the command ends that changed them: also when it is interrupted or asked to end, and
//! while it is stopped.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use life_sys::secret::SecretBytes;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_blocking;
use zeroize::Zeroize;

use crate::error::Error;

/// The longest line that is read, in bytes, its end included.
const LINE: usize = 1024 + 2;

/// The controlling terminal.
pub struct Terminal(File);

impl Terminal {
    /// Opens it.
    ///
    /// # Errors
    /// What the system says, where there is none.
    pub fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open("/dev/tty").map(Self)
    }

    /// Asks for one line without showing what is typed. The line comes as it was typed, with its end.
    ///
    /// Fails with [`Error::Read`] when the terminal goes away.
    pub async fn ask(&self, question: &str) -> Result<SecretBytes, Error> {
        let failed = |source| Error::Read { name: "the terminal".into(), source };
        let reader = self.0.try_clone().map_err(failed)?;
        let silence = Silence::begin(self.0.try_clone().map_err(failed)?, question).map_err(failed)?;
        let line = spawn_blocking(move || read_line(reader)).await;
        let line = line.map_err(|error| Error::Software(error.to_string()))?.map_err(failed)?;
        silence.answered();
        Ok(line)
    }

    /// Shows a secret until Enter is pressed, and takes it from the screen again where the terminal can do that.
    ///
    /// Fails with [`Error::Write`] or [`Error::Read`] when the terminal goes away.
    #[expect(clippy::await_holding_invalid_type, reason = "it is shown until the person has it")]
    pub async fn show_once(&self, what: &str, secret: SecretBytes) -> Result<(), Error> {
        let failed = |source| Error::write("the terminal", source);
        let mut terminal = self.0.try_clone().map_err(failed)?;
        writeln!(terminal, "{what}\n").map_err(failed)?;
        // EXPOSE: to the person it was made for, once.
        let shown = [b"    ", secret.expose(), b"\n\n"];
        shown.iter().try_for_each(|part| terminal.write_all(part)).map_err(failed)?;
        drop(secret);
        self.ask("Write it down, and press Enter when you have it: ").await?;
        if env::var_os("TERM").is_some_and(|term| term != "dumb") {
            // Up to the first line, and away with all that follows.
            let lines = what.lines().count() + 4;
            write!(terminal, "\x1b[{lines}A\r\x1b[J").map_err(failed)?;
        }
        Ok(())
    }
}

/// Reads one line; a terminal gives no more at once.
fn read_line(mut terminal: File) -> io::Result<SecretBytes> {
    let mut line = Vec::with_capacity(LINE);
    let mut byte = [0];
    let ended = loop {
        match terminal.read(&mut byte) {
            Ok(0) => break Ok(()),
            Ok(_) => line.push(byte[0]),
            Err(error) => break Err(error),
        }
        if byte == *b"\n" || line.len() == LINE {
            break Ok(());
        }
    };
    byte.zeroize();
    let line = SecretBytes::new(line);
    ended.map(|()| line)
}

/// A terminal that does not show what is typed.
struct Silent {
    terminal: File,
    before: Termios,
    question: String,
}

/// The one question that is open; what a signal stops finds the terminal here.
static OPEN: Mutex<Option<Silent>> = Mutex::new(None);

fn open() -> MutexGuard<'static, Option<Silent>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Silent {
    fn hush(&mut self) -> io::Result<()> {
        let mut silent = self.before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        tcsetattr(&self.terminal, OptionalActions::Flush, &silent)?;
        self.terminal.write_all(self.question.as_bytes())
    }

    /// The same after a stop, where somebody has made the terminal show what is typed meanwhile. Otherwise nothing: what was
    /// typed since is not lost.
    fn hush_again(&mut self) -> io::Result<()> {
        if tcgetattr(&self.terminal)?.local_modes.contains(LocalModes::ECHO) { self.hush() } else { Ok(()) }
    }

    fn restore(&self) {
        let _terminal_gone = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Keeps the question open; the terminal is as before when this is dropped.
struct Silence(());

impl Silence {
    fn begin(terminal: File, question: &str) -> io::Result<Self> {
        watch_suspension();
        let before = tcgetattr(&terminal)?;
        let mut silent = Silent { terminal, before, question: question.to_owned() };
        silent.hush()?;
        *open() = Some(silent);
        Ok(Self(()))
    }

    /// The person pressed Enter, which the terminal showed.
    fn answered(self) {
        if let Some(silent) = open().take() {
            silent.restore();
        }
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        if let Some(mut silent) = open().take() {
            silent.restore();
            // What comes next does not stand behind the question.
            let _terminal_gone = silent.terminal.write_all(b"\n");
        }
    }
}

/// From the first question on: a stop (Ctrl-Z) gives the terminal back first, and going on asks again.
fn watch_suspension() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let kinds = [Signal::TSTP, Signal::CONT].map(|it| signal(SignalKind::from_raw(it.as_raw())));
        let [Ok(mut stops), Ok(mut continuations)] = kinds else { return };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = stops.recv() => {
                        if let Some(silent) = &*open() {
                            silent.restore();
                        }
                        // Nobody catches this one: we go on behind it when we are continued.
                        let _ = kill_process(getpid(), Signal::STOP);
                    }
                    _ = continuations.recv() => {}
                }
                if let Some(silent) = &mut *open() {
                    let _terminal_gone = silent.hush_again();
                }
            }
        });
    });
}
