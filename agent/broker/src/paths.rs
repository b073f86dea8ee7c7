//! Where the agent's sockets and files are.

use std::path::{Path, PathBuf};

use directories::{BaseDirs, ProjectDirs};

use crate::arguments::Arguments;
use crate::config::Config;

/// Why there is no place for something.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// The user has no home folder.
    #[error("there is no home folder; set HOME, or LIFE_STATE_DIR and LIFE_AGENT_SOCKET")]
    NoHome,
    /// The socket's path has no file name.
    #[error("{0} is not a path of a socket")]
    NoName(PathBuf),
}

/// Where things are.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The gRPC socket, absolute.
    pub socket: PathBuf,
    /// The socket that takes tickets and descriptors, beside it.
    pub descriptor_socket: PathBuf,
    /// What outlives the process.
    pub state: PathBuf,
    /// Where ciphertext waits to be verified.
    pub spool: PathBuf,
    /// What is known of uploads that were cut.
    pub uploads: PathBuf,
    /// The vault's program.
    pub vault: PathBuf,
}

/// The usual configuration file, `~/.config/life/agent.toml`.
pub fn usual_config() -> Option<PathBuf> {
    ProjectDirs::from("", "", "life").map(|folders| folders.config_dir().join("agent.toml"))
}

impl Paths {
    /// Finds everything: the command line and environment first, then the configuration, then the usual places.
    ///
    /// # Errors
    /// [`PathsError`] where a usual place is needed and the user has no home.
    pub fn find(arguments: &Arguments, config: &Config) -> Result<Self, PathsError> {
        let socket = match arguments.socket.as_ref().or(config.agent.socket.as_ref()) {
            Some(path) => std::path::absolute(path).map_err(|_| PathsError::NoName(path.clone()))?,
            None => usual_socket()?,
        };
        let state = match &arguments.state {
            Some(path) => std::path::absolute(path).map_err(|_| PathsError::NoName(path.clone()))?,
            None => {
                let folders = ProjectDirs::from("", "", "life").ok_or(PathsError::NoHome)?;
                folders.state_dir().unwrap_or(folders.data_local_dir()).to_owned()
            }
        };
        let beside = std::env::current_exe()
            .ok()
            .and_then(|own| own.parent().map(|folder| folder.join("life-vault")))
            .unwrap_or_else(|| PathBuf::from("life-vault"));
        Ok(Self {
            descriptor_socket: descriptor_socket(&socket)?,
            spool: config.agent.spool.clone().unwrap_or_else(|| state.join("spool")),
            uploads: state.join("uploads"),
            vault: config.vault.program.clone().unwrap_or(beside),
            socket,
            state,
        })
    }

    /// Puts the sockets elsewhere.
    ///
    /// # Errors
    /// [`PathsError::NoName`].
    pub fn serve_at(&mut self, socket: PathBuf) -> Result<(), PathsError> {
        self.descriptor_socket = descriptor_socket(&socket)?;
        self.socket = socket;
        Ok(())
    }
}

fn usual_socket() -> Result<PathBuf, PathsError> {
    let base = BaseDirs::new().ok_or(PathsError::NoHome)?;
    Ok(match base.runtime_dir() {
        Some(folder) => folder.join("life/agent.sock"),
        None => base.home_dir().join(".life/run/agent.sock"),
    })
}

/// `fd.sock` beside `agent.sock`, `NAME.fd.sock` beside `NAME.sock`.
///
/// # Errors
/// [`PathsError::NoName`] for a path that ends without a name.
pub fn descriptor_socket(socket: &Path) -> Result<PathBuf, PathsError> {
    let name = socket.file_name().ok_or_else(|| PathsError::NoName(socket.to_owned()))?;
    let name = name.to_string_lossy();
    Ok(match name.strip_suffix(".sock").unwrap_or(&name) {
        "agent" => socket.with_file_name("fd.sock"),
        name => socket.with_file_name(format!("{name}.fd.sock")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptor_socket_stands_beside_the_agents() {
        for (socket, expected) in [
            ("/run/life/agent.sock", "/run/life/fd.sock"),
            ("/run/life/praxis.sock", "/run/life/praxis.fd.sock"),
            ("/run/life/odd", "/run/life/odd.fd.sock"),
        ] {
            assert_eq!(descriptor_socket(Path::new(socket)).unwrap(), Path::new(expected));
        }
        assert!(descriptor_socket(Path::new("/")).is_err());
    }
}
