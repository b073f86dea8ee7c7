//! Where a passphrase comes from: a terminal with echo off, a file, or a descriptor.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use life_sys::secret::SecretBytes;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::task::spawn_blocking;
use zeroize::Zeroize;

use crate::error::Error;
use crate::files::in_background;

/// The longest passphrase, in bytes.
const LIMIT: usize = 1024;

/// Where to look for a passphrase.
#[derive(Clone, Debug)]
pub enum Source {
    /// An inherited descriptor.
    Descriptor(u32),
    /// A file; a line break at its end does not count.
    File(PathBuf),
    /// The person at the terminal.
    Terminal,
}

impl Source {
    /// The source that the options name, else the terminal.
    pub fn new(file: Option<PathBuf>, descriptor: Option<u32>) -> Self {
        match (file, descriptor) {
            (Some(file), _) => Self::File(file),
            (None, Some(descriptor)) => Self::Descriptor(descriptor),
            (None, None) => Self::Terminal,
        }
    }

    /// Reads the passphrase; on a terminal after asking with `question`.
    ///
    /// Fails with [`Error::Usage`] for one that is empty or too long, or when there is nobody to ask.
    pub async fn read(&self, question: &str) -> Result<SecretBytes, Error> {
        match self {
            Self::Terminal => ask(question).await,
            Self::File(path) => read_file(path.clone()).await,
            Self::Descriptor(number) => read_file(PathBuf::from(format!("/dev/fd/{number}"))).await,
        }
    }

    /// Reads a new passphrase: a person is asked twice.
    pub async fn read_new(&self, question: &str) -> Result<SecretBytes, Error> {
        let first = self.read(question).await?;
        let Self::Terminal = self else {
            return Ok(first);
        };
        repeat(first).await
    }
}

#[expect(
    clippy::await_holding_invalid_type,
    reason = "the person types the passphrase again while the first one waits to be compared"
)]
async fn repeat(first: SecretBytes) -> Result<SecretBytes, Error> {
    let second = ask("The same again: ").await?;
    // EXPOSE: compared in constant time with what was typed before.
    if first.ct_eq(second.expose()) {
        Ok(first)
    } else {
        Err(Error::Usage("the two passphrases differ: nothing was done".into()))
    }
}

/// Reads on a thread of its own: a pipe may let us wait.
async fn read_file(path: PathBuf) -> Result<SecretBytes, Error> {
    in_background(move || read_file_now(&path)).await
}

fn read_file_now(path: &Path) -> Result<SecretBytes, Error> {
    let file = File::open(path).map_err(|error| Error::no_input(path, error))?;
    let mut bytes = Vec::with_capacity(LIMIT + 3);
    let read = file.take(LIMIT as u64 + 2).read_to_end(&mut bytes);
    if let Err(source) = read {
        bytes.zeroize();
        return Err(Error::Read { name: path.display().to_string(), source });
    }
    checked(bytes)
}

/// Takes line breaks off the end and checks the length.
fn checked(mut bytes: Vec<u8>) -> Result<SecretBytes, Error> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    let problem = match bytes.len() {
        0 => "the passphrase is empty",
        length if length > LIMIT => "the passphrase is longer than 1024 bytes",
        _ => return Ok(SecretBytes::new(bytes)),
    };
    bytes.zeroize();
    Err(Error::Usage(problem.into()))
}

/// A terminal whose echo is off until this is dropped: also when the command is interrupted.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn new(terminal: File) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _terminal_gone = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

async fn ask(question: &str) -> Result<SecretBytes, Error> {
    let nobody = |_| {
        Error::Usage(
            "there is no terminal to ask for the passphrase: use --passphrase-file or --passphrase-fd".into(),
        )
    };
    let failed = |source| Error::Read { name: "the terminal".into(), source };
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(nobody)?;
    let reader = terminal.try_clone().map_err(failed)?;
    let mut silence = Silence::new(terminal).map_err(failed)?;
    silence.terminal.write_all(question.as_bytes()).map_err(failed)?;
    let line = spawn_blocking(move || read_line(reader)).await;
    line.map_err(|error| Error::Software(error.to_string()))?.map_err(failed).and_then(checked)
}

/// Reads one line; a terminal gives no more at once.
fn read_line(mut terminal: File) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(LIMIT + 3);
    let mut byte = [0];
    while line.len() < LIMIT + 2 && terminal.read(&mut byte)? == 1 {
        line.push(byte[0]);
        if byte == *b"\n" {
            break;
        }
    }
    byte.zeroize();
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_does_not_count() {
        for (given, kept) in
            [("secret\n", "secret"), ("secret\r\n", "secret"), (" s \n\n", " s \n"), ("s", "s")]
        {
            assert!(checked(given.into()).is_ok_and(|secret| secret.ct_eq(kept.as_bytes())), "{given:?}");
        }
        assert!(matches!(checked(b"\n".to_vec()), Err(Error::Usage(_))));
        assert!(checked(vec![b'x'; 1024]).is_ok());
        assert!(matches!(checked(vec![b'x'; 1025]), Err(Error::Usage(_))));
    }
}
