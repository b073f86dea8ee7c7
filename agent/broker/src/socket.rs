//! Unix sockets that only the agent's own user can open, and that no second agent can steal.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use life_sys::private_dir::{PrivateDirError, create_private_dir};
use rustix::fs::{FlockOperation, Mode};
use tokio::net::UnixListener;

use crate::activation::Handed;

/// What fits into `sun_path` with its final zero.
const MAX_PATH: usize = 107;

/// Why a socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A system call failed.
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
    /// Another agent serves it.
    #[error("{0} is served by another agent that is running")]
    InUse(PathBuf),
    /// Something that is no socket is in the way.
    #[error("{0} exists and is no socket")]
    NotASocket(PathBuf),
    /// Others could replace the socket.
    #[error("the folder {0}: {1}; use one of your own with mode 0700")]
    Folder(PathBuf, PrivateDirError),
    /// What the service manager handed over is not what the agent serves.
    #[error("the service manager handed over {0}, which is not served: {1}")]
    Handed(String, &'static str),
    /// The path is longer than the system allows.
    #[error("the socket path {0} has {1} bytes; the system allows 107: use a shorter one")]
    TooLong(PathBuf, usize),
}

/// A socket that is served. The file of one that was bound here goes away with it, if it is still its own.
pub struct Socket {
    path: PathBuf,
    /// The file that was made here; none for a socket of the service manager's.
    inode: Option<(u64, u64)>,
    listener: Option<UnixListener>,
    /// Held as long as the socket is served: the kernel releases it when the process ends, however it ends.
    _lock: File,
}

impl Socket {
    /// Binds the path. The umask gives the socket its mode, 0600: nothing is changed after binding, when it would be
    /// too late. The umask is the whole process's, so this belongs to the start, before anything else makes files.
    ///
    /// # Errors
    /// [`SocketError::InUse`] while another agent serves it; a socket left behind by a dead one is replaced.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let length = path.as_os_str().as_bytes().len();
        if length > MAX_PATH {
            return Err(SocketError::TooLong(path.to_owned(), length));
        }
        if let Some(folder) = path.parent() {
            create_private_dir(folder).map_err(|error| SocketError::Folder(folder.to_owned(), error))?;
        }
        let lock = lock(path)?;
        remove_stale(path)?;
        let fault = |error| SocketError::Io(path.to_owned(), error);
        let umask = rustix::process::umask(Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(umask);
        let listener = listener.map_err(fault)?;
        let inode = identity(&path.symlink_metadata().map_err(fault)?);
        Ok(Self { path: path.to_owned(), inode: Some(inode), listener: Some(listener), _lock: lock })
    }

    /// Serves a socket that the service manager opened, under the same lock; its file stays when the agent ends.
    ///
    /// # Errors
    /// [`SocketError::InUse`] while another agent serves that path.
    pub fn adopt(handed: Handed) -> Result<Self, SocketError> {
        let Handed { path, listener } = handed;
        let lock = lock(&path)?;
        let adopted = listener.set_nonblocking(true).and_then(|()| UnixListener::from_std(listener));
        let listener = adopted.map_err(|error| SocketError::Io(path.clone(), error))?;
        Ok(Self { path, inode: None, listener: Some(listener), _lock: lock })
    }

    /// Takes the listener out, once.
    pub fn listener(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let own = |made| self.path.symlink_metadata().is_ok_and(|found| identity(&found) == made);
        if self.inode.is_some_and(own) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Locks `PATH.lock`. Whoever holds it serves the socket; a file that was replaced meanwhile does not count.
fn lock(path: &Path) -> Result<File, SocketError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let fault = |error| SocketError::Io(lock_path.clone(), error);
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&lock_path)
            .map_err(fault)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(SocketError::InUse(path.to_owned())),
            Err(error) => return Err(fault(error.into())),
        }
        let held = identity(&file.metadata().map_err(fault)?);
        if lock_path.symlink_metadata().is_ok_and(|found| identity(&found) == held) {
            return Ok(file);
        }
    }
}

/// Removes a socket that nobody serves. Even with the lock in hand, one that answers is left alone: its agent may
/// have lost its lock file.
fn remove_stale(path: &Path) -> Result<(), SocketError> {
    let fault = |error| SocketError::Io(path.to_owned(), error);
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(fault)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(fault(error)),
        Ok(_) => Err(SocketError::InUse(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .tempdir()
            .unwrap()
    }

    #[tokio::test]
    async fn a_live_socket_is_not_stolen_and_a_stale_one_is_replaced() {
        let folder = folder();
        let path = folder.path().join("run/agent.sock");
        let first = Socket::bind(&path).unwrap();
        assert!(matches!(Socket::bind(&path), Err(SocketError::InUse(_))));
        // Even when somebody removed the lock file.
        std::fs::remove_file(folder.path().join("run/agent.sock.lock")).unwrap();
        assert!(matches!(Socket::bind(&path), Err(SocketError::InUse(_))));
        assert!(path.exists());
        drop(first);
        assert!(!path.exists());

        // What a killed agent leaves behind.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = Socket::bind(&path).unwrap();
        assert_eq!(path.parent().unwrap().metadata().unwrap().mode() & 0o777, 0o700);
        drop(second);
    }

    #[tokio::test]
    async fn an_older_agent_leaves_its_successors_socket_alone() {
        let folder = folder();
        let path = folder.path().join("agent.sock");
        let first = Socket::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        drop(first);
        assert!(path.exists());
        assert!(matches!(Socket::bind(&path), Err(SocketError::NotASocket(_))));
    }

    #[tokio::test]
    async fn a_handed_over_socket_has_one_agent_and_keeps_its_file() {
        let folder = folder();
        let path = folder.path().join("agent.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let handed = || Handed { path: path.clone(), listener: listener.try_clone().unwrap() };
        let first = Socket::adopt(handed()).unwrap();
        assert!(matches!(Socket::adopt(handed()), Err(SocketError::InUse(_))));
        assert!(matches!(Socket::bind(&path), Err(SocketError::InUse(_))));
        drop(first);
        // The service manager listens on, so nobody takes it over either.
        assert!(matches!(Socket::bind(&path), Err(SocketError::InUse(_))));
        Socket::adopt(handed()).unwrap();
        assert!(path.exists());
    }

    #[tokio::test]
    async fn long_paths_and_open_folders_are_refused_with_the_reason() {
        let folder = folder();
        let long = folder.path().join("x".repeat(107));
        assert!(matches!(Socket::bind(&long), Err(SocketError::TooLong(..))));
        let open = folder.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        assert!(matches!(Socket::bind(&open.join("agent.sock")), Err(SocketError::Folder(..))));
    }
}
