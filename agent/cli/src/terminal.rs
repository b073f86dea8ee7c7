//! The terminal as a place for secrets: typed without being shown, and shown once.
//!
//! Its settings come back however the command ends that changed them, and what was shown is gone: also when it is
//! interrupted or asked to end, and while it is stopped.

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
        self.answer(reader, Silence::begin(self.0.try_clone().map_err(failed)?, question, None)).await
    }

    /// Waits for the line that answers an open question.
    async fn answer(&self, reader: File, silence: io::Result<Silence>) -> Result<SecretBytes, Error> {
        let failed = |source| Error::Read { name: "the terminal".into(), source };
        let silence = silence.map_err(failed)?;
        let line = spawn_blocking(move || read_line(reader)).await;
        let line = line.map_err(|error| Error::Software(error.to_string()))?.map_err(failed)?;
        silence.answered();
        Ok(line)
    }

    /// Shows a secret until Enter is pressed, on a screen of its own where the terminal has one: nothing of it stays there,
    /// nor among the lines that one can scroll back to.
    ///
    /// Fails with [`Error::Read`] when the terminal goes away.
    #[expect(clippy::await_holding_invalid_type, reason = "it is shown until the person has it")]
    pub async fn show_once(&self, what: &str, secret: SecretBytes) -> Result<(), Error> {
        let failed = |source| Error::Read { name: "the terminal".into(), source };
        let reader = self.0.try_clone().map_err(failed)?;
        let sheet = Sheet::new(what, &secret);
        drop(secret);
        let question = "Write it down, and press Enter when you have it: ";
        let silence = Silence::begin(self.0.try_clone().map_err(failed)?, question, Some(sheet));
        self.answer(reader, silence).await.map(drop)
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

/// What is shown with a question.
struct Sheet {
    text: SecretBytes,
    /// Whether it has a screen of its own.
    own_screen: bool,
}

life_sys::secret_types!(Sheet);

/// To the terminal's other screen, which leaves nothing to scroll back to. Where there is none this clears the only one.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[H\x1b[J";
const LEAVE: &[u8] = b"\x1b[?1049l";

impl Sheet {
    fn new(what: &str, secret: &SecretBytes) -> Self {
        let own_screen = env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        let start = if own_screen { ENTER } else { b"" };
        // EXPOSE: to the person it was made for, once.
        let parts = [start, what.as_bytes(), b"\n\n    ", secret.expose(), b"\n\n"].concat();
        Self { text: SecretBytes::new(parts), own_screen }
    }

    fn show(&self, mut terminal: &File) -> io::Result<()> {
        // EXPOSE: to the terminal, as above.
        terminal.write_all(self.text.expose())
    }

    /// Takes it away line by line: what clears a whole screen lets some terminals keep it among the lines above.
    fn hide(&self, mut terminal: &File) -> io::Result<()> {
        if !self.own_screen {
            return Ok(());
        }
        // EXPOSE: its lines are counted, and one more for the question.
        let lines = self.text.expose().iter().filter(|byte| **byte == b'\n').count() + 2;
        for line in (1..=lines).rev() {
            write!(terminal, "\x1b[{line};1H\x1b[2K")?;
        }
        terminal.write_all(LEAVE)
    }
}

/// A terminal that does not show what is typed.
struct Silent {
    terminal: File,
    before: Termios,
    question: String,
    sheet: Option<Sheet>,
}

life_sys::secret_types!(Silent);

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
        self.sheet.iter().try_for_each(|sheet| sheet.show(&self.terminal))?;
        self.terminal.write_all(self.question.as_bytes())
    }

    /// The same after a stop, where somebody has made the terminal show what is typed meanwhile. Otherwise nothing: what was
    /// typed since is not lost.
    fn hush_again(&mut self) -> io::Result<()> {
        if tcgetattr(&self.terminal)?.local_modes.contains(LocalModes::ECHO) { self.hush() } else { Ok(()) }
    }

    fn restore(&self) {
        let _terminal_gone = self.sheet.iter().try_for_each(|sheet| sheet.hide(&self.terminal));
        let _terminal_gone = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Keeps the question open; the terminal is as before when this is dropped.
struct Silence(());

impl Silence {
    fn begin(terminal: File, question: &str, sheet: Option<Sheet>) -> io::Result<Self> {
        watch_suspension();
        let before = tcgetattr(&terminal)?;
        let silent = Silent { terminal, before, question: question.to_owned(), sheet };
        // It is put back from here on, also when not all of it is shown.
        let silence = Self(());
        let mut open = open();
        let shown = open.insert(silent).hush();
        drop(open);
        shown.map(|()| silence)
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
