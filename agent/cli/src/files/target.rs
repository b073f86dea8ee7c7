//! Writing: a staged file, or straight into a pipe, a device or standard output.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub use life_sys::files::Existing;
use life_sys::files::UnlinkedTemp;

use crate::error::Error;

/// Where output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file, pipe or device.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}

/// What is written: it decides who may read the file, and what a terminal may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Opened content or a credential: for its owner alone.
    Private,
    /// Ciphertext, signatures, certificates: as the umask has it.
    Sealed,
}

impl Content {
    fn mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Sealed => 0o666,
        }
    }
}

/// An output that is open.
pub struct Target {
    name: String,
    kind: Kind,
}

enum Kind {
    /// A pipe, a device or a redirected standard output.
    Direct(File),
    /// A file that gets its name at the end.
    Staged(UnlinkedTemp, Existing),
    /// A terminal: text only.
    Terminal(File),
}

impl Place {
    /// What `-o` says; `-` is standard output.
    pub fn named(path: PathBuf) -> Self {
        if path == Path::new("-") || path == Path::new("/dev/stdout") {
            Self::Stdout
        } else {
            Self::Path(path)
        }
    }

    /// Where output goes when `-o` is not given: beside the input under a name made by `derive`, and to standard
    /// output for an input without a name.
    pub fn beside(input: &Path, derive: impl FnOnce(&Path) -> Option<PathBuf>) -> Self {
        if input == Path::new("-") {
            return Self::Stdout;
        }
        derive(input).map_or(Self::Stdout, Self::Path)
    }

    /// How it is called in messages and reports.
    pub fn display(&self) -> String {
        match self {
            Self::Path(path) => path.display().to_string(),
            Self::Stdout => "-".into(),
        }
    }
}

/// `path` with `.extension` added.
pub fn with_added_extension(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

impl Target {
    /// Opens an output.
    ///
    /// Fails with [`Error::Exists`] for a file that may not be replaced, with [`Error::CannotCreate`] for a folder
    /// that is missing or read-only, and with [`Error::Usage`] when ciphertext would go to a terminal.
    pub fn open(place: &Place, existing: Existing, content: Content) -> Result<Self, Error> {
        match place {
            Place::Stdout => Self::stdout(content),
            Place::Path(path) => Self::path(path, existing, content),
        }
    }

    /// Whether nobody sees what is written before [`Target::commit`].
    pub fn is_staged(&self) -> bool {
        matches!(self.kind, Kind::Staged(..))
    }

    /// Writes on.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let file = match &mut self.kind {
            Kind::Direct(file) => file,
            Kind::Staged(staged, _) => staged.file(),
            Kind::Terminal(file) => {
                if !is_text(bytes) {
                    return Err(binary_to_terminal());
                }
                file
            }
        };
        file.write_all(bytes).map_err(|error| Error::write(self.name.as_str(), error))
    }

    /// Writes the file of another kind: all of `source` from where it stands, by the kernel where possible.
    pub fn copy(&mut self, source: &mut File) -> Result<u64, Error> {
        let file = match &mut self.kind {
            Kind::Direct(file) | Kind::Terminal(file) => file,
            Kind::Staged(staged, _) => staged.file(),
        };
        io::copy(source, file).map_err(|error| Error::write(self.name.as_str(), error))
    }

    /// Completes the output: a staged file becomes durable and visible.
    pub fn commit(self) -> Result<(), Error> {
        match self.kind {
            Kind::Direct(_) | Kind::Terminal(_) => Ok(()),
            Kind::Staged(staged, existing) => staged.persist(existing).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists(PathBuf::from(&self.name)),
                _ => Error::write(self.name.as_str(), error),
            }),
        }
    }

    fn stdout(content: Content) -> Result<Self, Error> {
        let name = "the standard output";
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        if terminal && content == Content::Sealed {
            return Err(binary_to_terminal());
        }
        let owned = stdout.as_fd().try_clone_to_owned().map_err(|error| Error::write(name, error))?;
        let file = File::from(owned);
        let kind = if terminal { Kind::Terminal(file) } else { Kind::Direct(file) };
        Ok(Self { name: name.into(), kind })
    }

    fn path(path: &Path, existing: Existing, content: Content) -> Result<Self, Error> {
        let failed = |error| Error::create(path, error);
        let name = path.display().to_string();
        // A link leads to the file that is meant.
        let (path, found) = match path.metadata() {
            Ok(metadata) => (path.canonicalize().map_err(failed)?, Some(metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
            Err(error) => return Err(failed(error)),
        };
        let kind = match found {
            Some(found) if found.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Some(found) if !found.is_file() => {
                Kind::Direct(OpenOptions::new().write(true).open(&path).map_err(failed)?)
            }
            Some(_) if existing == Existing::Keep => return Err(Error::Exists(path)),
            found => {
                let mut temp = UnlinkedTemp::beside(&path, content.mode()).map_err(failed)?;
                if let Some(found) = found {
                    let mode = Permissions::from_mode(found.permissions().mode() & 0o777);
                    temp.file().set_permissions(mode).map_err(failed)?;
                }
                Kind::Staged(temp, existing)
            }
        };
        Ok(Self { name, kind })
    }
}

fn binary_to_terminal() -> Error {
    Error::Usage(
        "binary content does not go to a terminal: name a file with -o, or redirect the output".into(),
    )
}

/// Whether a terminal can show the bytes: UTF-8 (it may be cut at the end) without control characters.
fn is_text(bytes: &[u8]) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_text_only() {
        assert!(is_text("Befund: unauffällig\n".as_bytes()));
        assert!(is_text(&"ä".as_bytes()[..1]));
        assert!(!is_text(b"\x1b]0;title\x07"));
        assert!(!is_text(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"));
    }

    #[test]
    fn places_have_sensible_names() {
        let life = |path: &Path| Some(with_added_extension(path, "life"));
        assert_eq!(Place::beside(Path::new("-"), life), Place::Stdout);
        assert_eq!(Place::beside(Path::new("a/b.pdf"), life), Place::Path("a/b.pdf.life".into()));
        assert_eq!(Place::named("-".into()), Place::Stdout);
    }

    #[test]
    fn replacing_keeps_the_mode_and_leaves_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, b"old").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let place = Place::Path(path.clone());
        assert!(matches!(Target::open(&place, Existing::Keep, Content::Sealed), Err(Error::Exists(_))));
        let mut target = Target::open(&place, Existing::Replace, Content::Private).unwrap();
        target.write(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        target.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_target_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Path(folder.path().join("out"));
        let mut target = Target::open(&place, Existing::Keep, Content::Private).unwrap();
        target.write(b"half").unwrap();
        drop(target);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_is_no_output() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Path(folder.path().to_owned());
        for existing in [Existing::Keep, Existing::Replace] {
            assert!(matches!(
                Target::open(&place, existing, Content::Sealed),
                Err(Error::CannotCreate { .. })
            ));
        }
    }
}
