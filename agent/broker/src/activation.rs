//! Sockets that a service manager opened before it started this process (sd_listen_fds(3)).
//!
//! It keeps them while the agent is away, so that clients wait instead of failing. What it hands over is believed only
//! after a look: a socket that others can open is refused, whoever opened it.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use life_sys::private_dir::open_private_dir;
use listenfd::ListenFd;

use crate::paths::{PathsError, descriptor_socket};
use crate::socket::SocketError;

/// A socket that was handed over, and where its file is.
#[derive(Debug)]
pub struct Handed {
    /// Its absolute path.
    pub path: PathBuf,
    /// The socket.
    pub listener: UnixListener,
}

/// What was handed over, by what it is for.
#[derive(Debug, Default)]
pub struct Activation {
    /// For gRPC.
    pub agent: Option<Handed>,
    /// For tickets with descriptors; the agent opens its own where there is none.
    pub descriptors: Option<Handed>,
}

impl Activation {
    /// Takes what stands in this process's environment. It belongs to the start: the variables are removed, which no
    /// other thread may watch.
    ///
    /// # Errors
    /// [`SocketError::Handed`] for a descriptor that is not one of the agent's two sockets, closed to all others.
    pub fn take() -> Result<Self, SocketError> {
        let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
        // Left over from a parent, and not meant for us.
        if number("LISTEN_PID") != Some(std::process::id()) {
            return Ok(Self::default());
        }
        let count = number("LISTEN_FDS").unwrap_or_default();
        if count > 2 {
            return Err(refused(format!("{count} descriptors"), "the agent has two sockets"));
        }
        let mut descriptors = ListenFd::from_env();
        let mut handed = Vec::new();
        for index in 0..descriptors.len() {
            let listener = descriptors.take_unix_listener(index).ok().flatten();
            let listener = listener
                .ok_or_else(|| refused(format!("descriptor {index}"), "it is no Unix stream socket"))?;
            handed.push(check(listener)?);
        }
        Self::assign(handed)
    }

    /// Tells the two sockets apart by their paths: a socket unit gives all that it opens the same name.
    fn assign(handed: Vec<Handed>) -> Result<Self, SocketError> {
        let mut handed = handed.into_iter();
        let (agent, descriptors) = match (handed.next(), handed.next()) {
            (Some(one), Some(two)) if stands_beside(&one.path, &two.path) => (Some(two), Some(one)),
            (Some(one), Some(two)) if stands_beside(&two.path, &one.path) => (Some(one), Some(two)),
            (Some(_), Some(two)) => {
                return Err(refused(
                    two.path.display().to_string(),
                    "the two sockets are not agent.sock and fd.sock of one folder, or NAME.sock and NAME.fd.sock",
                ));
            }
            (agent, _) => (agent, None),
        };
        Ok(Self { agent, descriptors })
    }
}

/// Whether the first path is that of the second's descriptor socket.
fn stands_beside(path: &Path, agent: &Path) -> bool {
    let expected: Result<PathBuf, PathsError> = descriptor_socket(agent);
    expected.is_ok_and(|expected| expected == path)
}

fn refused(what: String, why: &'static str) -> SocketError {
    SocketError::Handed(what, why)
}

/// A listening socket with a file of its own, in a folder that nobody else can enter.
fn check(listener: UnixListener) -> Result<Handed, SocketError> {
    let address = listener.local_addr().ok();
    let path = address.as_ref().and_then(std::os::unix::net::SocketAddr::as_pathname);
    let Some(path) = path.filter(|path| path.is_absolute()).map(Path::to_owned) else {
        return Err(refused(
            "a socket".to_owned(),
            "it has no absolute path, so anybody could connect to it",
        ));
    };
    let because = |why| Err(refused(path.display().to_string(), why));
    if !rustix::net::sockopt::socket_acceptconn(&listener).is_ok_and(|listens| listens) {
        return because("it does not listen");
    }
    if let Some(folder) = path.parent() {
        open_private_dir(folder).map_err(|error| SocketError::Folder(folder.to_owned(), error))?;
    }
    let Ok(file) = path.symlink_metadata() else { return because("its file is gone") };
    if !file.file_type().is_socket() {
        return because("another file stands at its path");
    }
    if file.uid() != life_sys::peer::own_uid() {
        return because("its file belongs to another user");
    }
    // To connect is to write.
    if file.mode() & 0o022 != 0 {
        return because("other users may connect to it; its mode must be 0600");
    }
    Ok(Handed { path, listener })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
    }

    fn bound(path: &Path) -> UnixListener {
        let listener = UnixListener::bind(path).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        listener
    }

    fn reason(outcome: Result<impl std::fmt::Debug, SocketError>) -> String {
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn the_two_sockets_are_told_apart_in_any_order() {
        let folder = folder();
        for (names, swapped) in [(["agent.sock", "fd.sock"], false), (["a.fd.sock", "a.sock"], true)] {
            let [one, two] = names.map(|name| check(bound(&folder.path().join(name))).unwrap());
            let (one_path, two_path) = (one.path.clone(), two.path.clone());
            let activation = Activation::assign(vec![one, two]).unwrap();
            let paths = (activation.agent.unwrap().path, activation.descriptors.unwrap().path);
            assert_eq!(paths, if swapped { (two_path, one_path) } else { (one_path, two_path) });
        }
        let strangers = ["x.sock", "y.sock"].map(|name| check(bound(&folder.path().join(name))).unwrap());
        assert!(reason(Activation::assign(strangers.into())).contains("NAME.fd.sock"));
        assert!(Activation::assign(Vec::new()).unwrap().agent.is_none());
    }

    #[test]
    fn what_others_could_open_is_refused() {
        let folder = folder();
        let path = folder.path().join("agent.sock");
        let listener = bound(&path);
        fs::set_permissions(&path, Permissions::from_mode(0o660)).unwrap();
        assert!(reason(check(listener)).contains("0600"));
        fs::remove_file(&path).unwrap();

        let listener = bound(&path);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(matches!(check(listener), Err(SocketError::Folder(..))));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        fs::remove_file(&path).unwrap();

        let listener = bound(&path);
        fs::remove_file(&path).unwrap();
        assert!(reason(check(listener.try_clone().unwrap())).contains("gone"));
        fs::write(&path, "").unwrap();
        assert!(reason(check(listener)).contains("another file"));
    }

    #[test]
    fn a_socket_without_a_path_or_that_does_not_listen_is_refused() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;
        let name = format!("life-activation-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(name).unwrap();
        assert!(reason(check(UnixListener::bind_addr(&address).unwrap())).contains("no absolute path"));

        let folder = folder();
        let path = folder.path().join("agent.sock");
        let socket =
            rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None)
                .unwrap();
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(reason(check(UnixListener::from(socket))).contains("does not listen"));
    }
}
