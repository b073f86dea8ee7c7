//! Files that appear whole or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open, renameat, unlinkat};
use rustix::io::Errno;

/// What to do when there is a file of that name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it and fail.
    Keep,
    /// Put the new one in its place, in one step.
    Replace,
}

/// Writes a file in one step: whoever reads the path sees the old bytes or the new ones, also after a power cut.
///
/// `mode` are the permission bits, which the umask narrows.
///
/// # Errors
/// What the system says; nothing is left behind, and the old file is untouched, with one exception:
/// [`UnlinkedTemp::persist`] says when.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut temp = UnlinkedTemp::beside(path, mode)?;
    temp.file().write_all(bytes)?;
    temp.persist(Existing::Replace)
}

/// A file without a name yet (`O_TMPFILE`), on the file system of its later place.
///
/// Dropped, or when the process dies, it is gone without a trace. Where the file system knows no such files a
/// hidden name stands in for it, which is removed on drop.
pub struct UnlinkedTemp {
    file: File,
    target: PathBuf,
    /// The name it has in the meantime, if it has to have one.
    name: Option<PathBuf>,
}

impl UnlinkedTemp {
    /// Makes a file that can later get the name `target`. `mode` are the permission bits, which the umask narrows.
    ///
    /// # Errors
    /// What the system says: no such folder, read-only, no permission, no space.
    pub fn beside(target: &Path, mode: u32) -> io::Result<Self> {
        if target.file_name().is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match without_name(folder_of(target), permissions(mode)) {
            Ok(fd) => Ok(Self { file: fd.into(), target: target.to_owned(), name: None }),
            // EISDIR and ENOENT come from kernels that do not know the flag; a missing folder fails again below.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => Self::named(target, mode),
            Err(errno) => Err(errno.into()),
        }
    }

    fn named(target: &Path, mode: u32) -> io::Result<Self> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let (name, fd) = with_fresh_name(target, |name| open(name, flags, permissions(mode)))?;
        Ok(Self { file: fd.into(), target: target.to_owned(), name: Some(name) })
    }

    /// The file, to be read and written.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its name, after its bytes have reached the disk; then the folder's entry follows.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] with [`Existing::Keep`] when the name is taken; else what the system says.
    /// Nothing is left behind, with one exception: when the very last step fails, flushing the folder, the new file
    /// has its name and is whole, but a power cut may undo that.
    pub fn persist(self, existing: Existing) -> io::Result<()> {
        self.persist_with(existing, rustix::fs::fsync)
    }

    fn persist_with(
        mut self,
        existing: Existing,
        flush: impl FnOnce(OwnedFd) -> Result<(), Errno>,
    ) -> io::Result<()> {
        self.file.sync_all()?;
        // Opened before anything is changed: a folder that can be written need not be readable.
        let folder = open(
            folder_of(&self.target),
            OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        if existing == Existing::Keep {
            self.link(&self.target)?;
        } else {
            let name = match &self.name {
                Some(name) => name.clone(),
                None => with_fresh_name(&self.target, |name| self.link(name))?.0,
            };
            // From here on a drop removes it.
            self.name = Some(name.clone());
            renameat(CWD, &name, CWD, &self.target)?;
            self.name = None;
        }
        // Gone before the folder is flushed.
        self.remove_name();
        Ok(flush(folder)?)
    }

    fn remove_name(&mut self) {
        if let Some(name) = self.name.take() {
            // A second name of a finished file is no reason to call it unfinished, and on drop nobody is left to tell.
            let _ = unlinkat(CWD, &name, AtFlags::empty());
        }
    }

    /// Links the open file under a name that must be free.
    fn link(&self, name: &Path) -> Result<(), Errno> {
        match &self.name {
            Some(current) => linkat(CWD, current, CWD, name, AtFlags::empty()),
            // AT_EMPTY_PATH would need a capability; /proc is open(2)'s way for everybody.
            None => {
                let open = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                linkat(CWD, open.as_str(), CWD, name, AtFlags::SYMLINK_FOLLOW)
            }
        }
    }
}

impl Drop for UnlinkedTemp {
    fn drop(&mut self) {
        self.remove_name();
    }
}

#[cfg(target_os = "linux")]
fn without_name(folder: &Path, mode: Mode) -> Result<OwnedFd, Errno> {
    open(folder, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode)
}

/// macOS has no such files.
#[cfg(not(target_os = "linux"))]
fn without_name(_folder: &Path, _mode: Mode) -> Result<OwnedFd, Errno> {
    Err(Errno::OPNOTSUPP)
}

#[cfg(target_os = "linux")]
fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(mode)
}

/// macOS keeps them in 16 bits.
#[cfg(not(target_os = "linux"))]
fn permissions(mode: u32) -> Mode {
    Mode::from_raw_mode(u16::try_from(mode & 0o7777).unwrap_or_default())
}

/// The folder a path lies in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Tries hidden names beside `target` until one is free.
fn with_fresh_name<T>(
    target: &Path,
    mut make: impl FnMut(&Path) -> Result<T, Errno>,
) -> io::Result<(PathBuf, T)> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1000 {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| now.subsec_nanos());
        let mut file_name = OsString::from(".");
        file_name.push(target.file_name().unwrap_or_default());
        file_name.push(format!(".{}-{number}-{nanos:08x}.tmp", std::process::id()));
        let name = target.with_file_name(file_name);
        match make(&name) {
            Ok(made) => return Ok((name, made)),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(dir: &Path) -> Vec<OsString> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn written_whole_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write_atomically(&path, b"one", 0o600).unwrap();
        write_atomically(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(dir.path()), ["state"]);
    }

    #[test]
    fn dropped_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        for mut temp in [
            UnlinkedTemp::beside(&dir.path().join("out"), 0o600).unwrap(),
            UnlinkedTemp::named(&dir.path().join("out"), 0o600).unwrap(),
        ] {
            temp.file().write_all(b"plain").unwrap();
        }
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn an_existing_file_can_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, b"old").unwrap();
        for temp in [UnlinkedTemp::beside(&path, 0o600).unwrap(), UnlinkedTemp::named(&path, 0o600).unwrap()]
        {
            let kept = temp.persist(Existing::Keep).unwrap_err();
            assert_eq!(kept.kind(), io::ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["out"]);
        UnlinkedTemp::named(&path, 0o600).unwrap().persist(Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        let fresh = dir.path().join("fresh");
        UnlinkedTemp::named(&fresh, 0o600).unwrap().persist(Existing::Keep).unwrap();
        assert_eq!(names(dir.path()).len(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_flushed_is_an_error_and_the_file_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        for (existing, text) in [(Existing::Keep, "one"), (Existing::Replace, "two")] {
            let mut temp = UnlinkedTemp::named(&path, 0o600).unwrap();
            temp.file().write_all(text.as_bytes()).unwrap();
            let failed = temp.persist_with(existing, |_| Err(Errno::IO)).unwrap_err();
            assert_eq!(failed.raw_os_error(), Some(Errno::IO.raw_os_error()));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(names(dir.path()), ["out"]);
        }
    }

    #[test]
    fn a_missing_folder_and_a_folder_as_target_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let missing = UnlinkedTemp::beside(&dir.path().join("no/file"), 0o600).err().unwrap();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let taken = dir.path().join("folder");
        fs::create_dir(&taken).unwrap();
        assert!(write_atomically(&taken, b"x", 0o600).is_err());
        assert_eq!(names(dir.path()), ["folder"]);
    }
}
