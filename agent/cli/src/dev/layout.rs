//! Where everything of the set-up lies.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use life_sys::peer::own_uid;

use super::trust::{SHORT_PREFIX, short_parents};
use crate::connection::check_path;
use crate::error::Error;

/// The folder of the set-up.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

/// What lies in the folder, besides what a person put there.
const OURS: &[&str] = &["agent", "ca.pem", "dev.json", "env", "logs", "platform", "run", "users"];

impl Layout {
    /// Takes an existing folder or makes it. It must be empty and our own; it becomes closed to everybody else.
    pub fn create(root: &Path) -> Result<Self, Error> {
        let failed = |error| Error::create(root, error);
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        if root.metadata().map_err(failed)?.uid() != own_uid() {
            return Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, "it is another user's")));
        }
        check_empty(&root)?;
        fs::set_permissions(&root, Permissions::from_mode(0o700)).map_err(failed)?;
        // Once more, now that nobody else can add anything.
        check_empty(&root)?;
        let layout = Self { root };
        for folder in [layout.platform(), layout.agent(), layout.logs(), layout.users(), layout.run()] {
            DirBuilder::new().mode(0o700).create(&folder).map_err(|error| Error::create(&folder, error))?;
        }
        Ok(layout)
    }

    /// Takes the folder of a set-up that was started earlier.
    pub fn existing(root: &Path) -> Self {
        Self { root: root.canonicalize().unwrap_or_else(|_| root.to_owned()) }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The platform's folder.
    pub fn platform(&self) -> PathBuf {
        self.root.join("platform")
    }

    /// The agent's folder: configuration and state.
    pub fn agent(&self) -> PathBuf {
        self.root.join("agent")
    }

    /// What the processes log.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// A folder for each user.
    pub fn users(&self) -> PathBuf {
        self.root.join("users")
    }

    /// Which processes run.
    pub fn state(&self) -> PathBuf {
        self.root.join("dev.json")
    }

    /// What a shell reads.
    pub fn env(&self) -> PathBuf {
        self.root.join("env")
    }

    /// The certificates of the user CA.
    pub fn ca(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// The agent's sockets.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// The folder for the sockets: in the set-up's folder, or a short one where that path is too long for a socket.
    pub fn socket_folder(&self) -> Result<(PathBuf, bool), Error> {
        if check_path(&self.run().join("agent.sock")).is_ok() {
            return Ok((self.run(), false));
        }
        let parent = short_parents().into_iter().find(|parent| parent.is_dir());
        let parent = parent.unwrap_or_else(|| PathBuf::from("/tmp"));
        let short = tempfile::Builder::new()
            .prefix(SHORT_PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(&parent);
        let short = short.map_err(|error| Error::create(&parent, error))?.keep();
        check_path(&short.join("agent.sock"))?;
        Ok((short, true))
    }

    /// Removes what the set-up put into its folder; the folder itself stays.
    pub fn remove(&self) -> Result<(), Error> {
        for name in OURS {
            let path = self.root.join(name);
            let removed = match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&path),
                Ok(_) => fs::remove_file(&path),
                Err(_) => Ok(()),
            };
            removed.map_err(|error| Error::write(path.display().to_string(), error))?;
        }
        Ok(())
    }
}

fn check_empty(root: &Path) -> Result<(), Error> {
    let mut entries = fs::read_dir(root).map_err(|error| Error::create(root, error))?;
    match entries.next() {
        Some(_) => Err(Error::create(root, io::ErrorKind::DirectoryNotEmpty.into())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::trust::tests::foreign_folder;
    use super::*;

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        match Layout::create(&foreign_folder(parent.path())) {
            Err(Error::CannotCreate { source, .. }) => {
                assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_folder_is_taken_and_closed_another_refused() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("dev");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, Permissions::from_mode(0o755)).unwrap();
        let layout = Layout::create(&root).unwrap();
        assert_eq!(root.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(Layout::create(&root), Err(Error::CannotCreate { .. })));
        fs::write(root.join("mine"), b"kept").unwrap();
        layout.remove().unwrap();
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    }

    #[test]
    fn a_long_path_gets_a_short_socket() {
        let parent = tempfile::tempdir().unwrap();
        let layout = Layout::create(&parent.path().join("x".repeat(100))).unwrap();
        let (folder, elsewhere) = layout.socket_folder().unwrap();
        assert!(elsewhere && check_path(&folder.join("agent.sock")).is_ok());
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        fs::remove_dir(folder).unwrap();
    }
}
