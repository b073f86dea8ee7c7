//! Writing: a staged file, or straight into a pipe, a device or standard output.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, IsTerminal, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub use life_sys::files::Existing;
use life_sys::files::UnlinkedTemp;

use super::in_background;
use super::text::CutText;
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
    /// A credential: for its owner alone, and for no terminal.
    Credential,
    /// Opened content: for its owner alone; a terminal may show it where it is text.
    Private,
    /// Ciphertext, signatures, certificates: as the umask has it.
    Sealed,
}

impl Content {
    fn mode(self) -> u32 {
        match self {
            Self::Credential | Self::Private => 0o600,
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
    Terminal(File, CutText),
}

impl Kind {
    /// What is open already: a terminal is told apart, and refused for what no person can read.
    fn of_open(file: File, content: Content) -> Result<Self, Error> {
        match (file.is_terminal(), content) {
            (false, _) => Ok(Self::Direct(file)),
            (true, Content::Private) => Ok(Self::Terminal(file, CutText::default())),
            (true, _) => Err(binary_to_terminal()),
        }
    }
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
    /// Waits for a pipe's reader, on a thread of its own, so that the command can be interrupted meanwhile. Fails with
    /// [`Error::Exists`] for a file that may not be replaced, with [`Error::CannotCreate`] for a folder that is missing
    /// or read-only and for a link that leads nowhere, and with [`Error::Usage`] when what no person can read would go
    /// to a terminal.
    pub async fn open(place: &Place, existing: Existing, content: Content) -> Result<Self, Error> {
        let place = place.clone();
        in_background(move || Self::open_now(&place, existing, content)).await
    }

    /// The same on this thread.
    pub fn open_now(place: &Place, existing: Existing, content: Content) -> Result<Self, Error> {
        match place {
            Place::Stdout => Self::stdout(content),
            Place::Path(path) => Self::path(path, existing, content),
        }
    }

    /// Whether nobody sees what is written before [`Target::commit`].
    pub fn is_staged(&self) -> bool {
        matches!(self.kind, Kind::Staged(..))
    }

    /// Makes sure that a staged file has room for `length` bytes, before work begins whose result is written once.
    pub fn reserve(&mut self, length: usize) -> Result<(), Error> {
        let Kind::Staged(staged, _) = &mut self.kind else { return Ok(()) };
        let file = staged.file();
        let reserved = file.write_all(&vec![0; length]).and_then(|()| file.sync_all());
        let reserved = reserved.and_then(|()| file.rewind()).and_then(|()| file.set_len(0));
        reserved.map_err(|error| Error::write(self.name.as_str(), error))
    }

    /// Writes on.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let file = match &mut self.kind {
            Kind::Direct(file) => file,
            Kind::Staged(staged, _) => staged.file(),
            Kind::Terminal(file, cut) => {
                if !cut.take(bytes) {
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
            Kind::Direct(file) | Kind::Terminal(file, _) => file,
            Kind::Staged(staged, _) => staged.file(),
        };
        io::copy(source, file).map_err(|error| Error::write(self.name.as_str(), error))
    }

    /// Completes the output: a staged file becomes durable and visible.
    pub fn commit(self) -> Result<(), Error> {
        match self.kind {
            Kind::Direct(_) | Kind::Terminal(..) => Ok(()),
            Kind::Staged(staged, existing) => staged.persist(existing).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Error::Exists(PathBuf::from(&self.name)),
                _ => Error::write(self.name.as_str(), error),
            }),
        }
    }

    fn stdout(content: Content) -> Result<Self, Error> {
        let name = "the standard output";
        let stdout = io::stdout();
        let owned = stdout.as_fd().try_clone_to_owned().map_err(|error| Error::write(name, error))?;
        Ok(Self { name: name.into(), kind: Kind::of_open(File::from(owned), content)? })
    }

    fn path(path: &Path, existing: Existing, content: Content) -> Result<Self, Error> {
        let failed = |error| Error::create(path, error);
        let name = path.display().to_string();
        // A link leads to the file that is meant.
        let (path, found) = match path.metadata() {
            Ok(metadata) => (path.canonicalize().map_err(failed)?, Some(metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Nothing can be put in the place of a link without losing the link.
                if path.is_symlink() {
                    return Err(failed(io::Error::new(error.kind(), "it is a link that leads nowhere")));
                }
                (path.to_owned(), None)
            }
            Err(error) => return Err(failed(error)),
        };
        let kind = match found {
            Some(found) if found.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Some(found) if !found.is_file() => {
                Kind::of_open(OpenOptions::new().write(true).open(&path).map_err(failed)?, content)?
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(matches!(Target::open_now(&place, Existing::Keep, Content::Sealed), Err(Error::Exists(_))));
        let mut target = Target::open_now(&place, Existing::Replace, Content::Private).unwrap();
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
        let mut target = Target::open_now(&place, Existing::Keep, Content::Private).unwrap();
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
                Target::open_now(&place, existing, Content::Sealed),
                Err(Error::CannotCreate { .. })
            ));
        }
    }
}
