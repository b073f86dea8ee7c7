//! Where a passphrase comes from: a terminal with echo off, a file, or a descriptor.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use life_sys::secret::SecretBytes;

use crate::error::Error;
use crate::files::in_background;
use crate::terminal::Terminal;

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

    /// Reads a new passphrase. A person is asked twice; the vault compares, so that both stand here, each with a line feed
    /// behind it.
    #[expect(clippy::await_holding_invalid_type, reason = "the person types the passphrase again")]
    pub async fn read_new(&self, question: &str) -> Result<New, Error> {
        let Self::Terminal = self else {
            return self.read(question).await.map(New::Once);
        };
        let first = ask(question).await?;
        let second = ask("The same again: ").await?;
        let length = first.len() + second.len() + 2;
        // EXPOSE: both into one secret of their final size.
        let both = SecretBytes::init_with(length, |both| {
            let parts = [first.expose(), b"\n", second.expose(), b"\n"];
            parts.iter().flat_map(|part| part.iter()).zip(both).for_each(|(from, to)| *to = *from);
            Ok::<(), Error>(())
        });
        both.map(New::Twice)
    }
}

/// A new passphrase.
pub enum New {
    /// As it was found.
    Once(SecretBytes),
    /// As it was typed twice.
    Twice(SecretBytes),
}

life_sys::secret_types!(New);

/// Reads on a thread of its own: a pipe may let us wait.
async fn read_file(path: PathBuf) -> Result<SecretBytes, Error> {
    in_background(move || read_file_now(&path)).await
}

fn read_file_now(path: &Path) -> Result<SecretBytes, Error> {
    let file = File::open(path).map_err(|error| Error::no_input(path, error))?;
    let mut bytes = Vec::with_capacity(LIMIT + 3);
    let read = file.take(LIMIT as u64 + 2).read_to_end(&mut bytes);
    let line = SecretBytes::new(bytes);
    read.map_err(|source| Error::Read { name: path.display().to_string(), source })?;
    checked(&line)
}

/// Takes one line break off the end and checks the length.
fn checked(line: &SecretBytes) -> Result<SecretBytes, Error> {
    // EXPOSE: looked at, and copied without its line break.
    let bytes = line.expose();
    let bytes = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes);
    match bytes.len() {
        0 => Err(Error::Usage("the passphrase is empty".into())),
        length if length > LIMIT => Err(Error::Usage("the passphrase is longer than 1024 bytes".into())),
        _ => Ok(SecretBytes::new(bytes.to_vec())),
    }
}

/// Asks at the terminal.
async fn ask(question: &str) -> Result<SecretBytes, Error> {
    let nobody = |_| {
        Error::Usage(
            "there is no terminal to ask for the passphrase: use --passphrase-file or --passphrase-fd".into(),
        )
    };
    let line = Terminal::open().map_err(nobody)?.ask(question).await?;
    checked(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_does_not_count() {
        for (given, kept) in
            [("secret\n", "secret"), ("secret\r\n", "secret"), (" s \n\n", " s \n"), ("s", "s")]
        {
            let checked = checked(&SecretBytes::new(given.into()));
            assert!(checked.is_ok_and(|secret| secret.ct_eq(kept.as_bytes())), "{given:?}");
        }
        for (given, good) in [(b"\n".to_vec(), false), (vec![b'x'; 1024], true), (vec![b'x'; 1025], false)] {
            let checked = checked(&SecretBytes::new(given));
            assert!(if good { checked.is_ok() } else { matches!(checked, Err(Error::Usage(_))) });
        }
    }
}
