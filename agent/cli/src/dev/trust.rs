//! What may be believed of a folder: only what nobody else can have put there.
//!
//! `down` ends processes and removes folders that a file names. A file that somebody else could write would choose
//! them, so that owner and permissions are checked before a word of it counts.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use life_sys::peer::own_uid;
use rustix::fs::{Mode, OFlags, open};

use crate::connection::variable;
use crate::error::Error;

/// How the name of a folder for sockets begins that lies outside the set-up's own.
pub const SHORT_PREFIX: &str = "life-dev-";
/// The largest state file.
const LIMIT: u64 = 1024 * 1024;
/// What group and others need to write.
const OTHERS_WRITE: u32 = 0o022;

/// Refuses a folder that is another user's, or that others can write.
pub fn check_folder(path: &Path) -> Result<(), Error> {
    let metadata = path.symlink_metadata().map_err(|error| Error::no_input(path, error))?;
    if !metadata.is_dir() {
        return Err(Error::no_input(path, io::ErrorKind::NotADirectory.into()));
    }
    check_owner(path, &metadata)
}

/// Reads a file of ours; nothing when there is none.
///
/// Fails with [`Error::Config`] for a link, for a file that is another user's, and for one that others can write.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let failed = |source| Error::Read { name: path.display().to_string(), source };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => return Err(refused(path, "a link")),
        Err(error) => return Err(failed(error.into())),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(refused(path, "no plain file"));
    }
    check_owner(path, &metadata)?;
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// Refuses a folder for sockets that `up` cannot have made: see [`SHORT_PREFIX`] and [`short_parents`].
///
/// Succeeds for one that is gone already.
pub fn check_short_folder(path: &Path) -> Result<(), Error> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parent = path.parent().unwrap_or(Path::new(""));
    if !name.starts_with(SHORT_PREFIX) || !short_parents().iter().any(|known| known == parent) {
        return Err(refused(path, "no folder that `life dev up` makes for sockets"));
    }
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => check_owner(path, &metadata),
        Ok(_) => Err(refused(path, "no folder")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::no_input(path, error)),
    }
}

/// Where folders for sockets are made: the first that exists.
pub fn short_parents() -> Vec<PathBuf> {
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = PathBuf::from(format!("/run/user/{}", own_uid()));
    runtime.into_iter().chain([usual, PathBuf::from("/tmp")]).collect()
}

/// Whether this is ours, and ours alone to write.
fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    if metadata.uid() != own_uid() {
        return Err(refused(path, "another user's"));
    }
    if metadata.mode() & OTHERS_WRITE != 0 {
        return Err(refused(path, "open for others to write"));
    }
    Ok(())
}

fn refused(path: &Path, what: &str) -> Error {
    Error::Config(format!("{} is {what}: nothing was ended or removed", path.display()))
}

#[cfg(test)]
pub mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// A folder of another user: one given away by root, else root's own.
    pub fn foreign_folder(parent: &Path) -> PathBuf {
        if own_uid() != 0 {
            return PathBuf::from("/");
        }
        let path = parent.join("foreign");
        fs::create_dir(&path).unwrap();
        chown(&path, Some(65534), Some(65534)).unwrap();
        path
    }

    #[test]
    fn folders_of_others_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        check_folder(parent.path()).unwrap();
        let foreign = foreign_folder(parent.path());
        assert!(matches!(check_folder(&foreign), Err(Error::Config(_))));
        fs::set_permissions(parent.path(), Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(check_folder(parent.path()), Err(Error::Config(_))));
    }

    #[test]
    fn files_that_others_can_write_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        assert!(read(&path).unwrap().is_none());
        fs::write(&path, b"words").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"words"[..]));
        symlink(&path, &link).unwrap();
        assert!(matches!(read(&link), Err(Error::Config(_))));
        fs::set_permissions(&path, Permissions::from_mode(0o664)).unwrap();
        assert!(matches!(read(&path), Err(Error::Config(_))));
        if own_uid() == 0 {
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            chown(&path, Some(65534), None).unwrap();
            assert!(matches!(read(&path), Err(Error::Config(_))));
        }
    }

    #[test]
    fn only_folders_that_up_makes_are_short_folders() {
        let made = tempfile::Builder::new().prefix(SHORT_PREFIX).tempdir_in("/tmp").unwrap();
        check_short_folder(made.path()).unwrap();
        check_short_folder(Path::new("/tmp/life-dev-gone")).unwrap();
        let link = Path::new("/tmp").join(format!("{SHORT_PREFIX}link-{}", std::process::id()));
        symlink(made.path(), &link).unwrap();
        let through = check_short_folder(&link);
        fs::remove_file(&link).unwrap();
        assert!(through.is_err());
        let inside = made.path().join("life-dev-x");
        for other in [Path::new("/tmp"), Path::new("/home"), Path::new("/tmp/life-dev-x/.."), &inside] {
            assert!(matches!(check_short_folder(other), Err(Error::Config(_))), "{}", other.display());
        }
    }
}
