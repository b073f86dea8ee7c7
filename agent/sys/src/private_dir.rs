//! Folders that nobody else can enter.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;

/// Why a folder is not used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateDirError {
    /// Another user owns it.
    #[error("the folder belongs to another user")]
    ForeignOwner,
    /// The system refused.
    #[error("the folder cannot be made or opened: {0}")]
    Io(#[from] io::Error),
    /// It is a symbolic link or no folder at all.
    #[error("the path is not a folder, or is a symbolic link")]
    NotAFolder,
    /// Others may enter it: its permissions are wider than 0700.
    #[error("the folder is open to other users; its permissions must be 0700")]
    TooOpen,
}

/// Makes a folder with mode 0700, and its missing parents likewise, and opens it.
///
/// A folder that is there already must be this user's and closed to all others; its permissions are not changed,
/// since whoever opened it may have put something in.
///
/// # Errors
/// [`PrivateDirError`] says which rule the folder breaks. Its last component may not be a symbolic link.
pub fn create_private_dir(path: &Path) -> Result<OwnedFd, PrivateDirError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => open_private_dir(path),
    }
}

/// Opens a folder that must be there, be this user's, and be closed to all others.
///
/// # Errors
/// As [`create_private_dir`].
pub fn open_private_dir(path: &Path) -> Result<OwnedFd, PrivateDirError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    let folder = open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP | Errno::NOTDIR => PrivateDirError::NotAFolder,
        errno => PrivateDirError::Io(errno.into()),
    })?;
    let stat = fstat(&folder).map_err(io::Error::from)?;
    if stat.st_uid != crate::peer::own_uid() {
        return Err(PrivateDirError::ForeignOwner);
    }
    if stat.st_mode & 0o077 != 0 {
        return Err(PrivateDirError::TooOpen);
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn made_closed_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create_private_dir(&path).unwrap();
        create_private_dir(&path).unwrap();
        for folder in [&path, &dir.path().join("a")] {
            assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn links_files_and_open_folders_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real");
        create_private_dir(&real).unwrap();
        let link = dir.path().join("link");
        symlink(&real, &link).unwrap();
        assert!(matches!(create_private_dir(&link), Err(PrivateDirError::NotAFolder)));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(create_private_dir(&file), Err(PrivateDirError::NotAFolder)));
        fs::set_permissions(&real, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(create_private_dir(&real), Err(PrivateDirError::TooOpen)));
        assert!(matches!(open_private_dir(&dir.path().join("none")), Err(PrivateDirError::Io(_))));
    }
}
