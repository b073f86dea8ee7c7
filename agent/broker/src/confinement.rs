//! What the broker gives up before its second thread: writing and executing elsewhere than it has to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use life_sys::peer::Programs;
use life_sys::private_dir::create_private_dir;
use life_sys::sandbox::{Confinement, Enforcement, Places, confine_broker, has_landlock};

use crate::config::Config;
use crate::paths::Paths;
use crate::socket::SocketError;
use crate::start::StartError;

/// How the broker is confined.
pub struct Confined {
    /// As the kernel says.
    pub confinement: Confinement,
    /// Says who connects.
    pub programs: Arc<Programs>,
    places: Places,
}

impl Confined {
    /// Confines this process and what it starts, for good. The folders of its state are there.
    ///
    /// # Errors
    /// [`StartError::Unprotected`] where the configuration asks for all of it; else what the system says.
    pub fn enter(config: &Config, paths: &Paths) -> Result<Self, StartError> {
        // Where nothing confines it, it may look itself.
        let programs = if has_landlock() { Programs::beside()? } else { Programs::own() };
        let places = Places { writable: writable(paths)?, executable: executable(config, paths) };
        let confinement = confine_broker(&places).map_err(StartError::internal)?;
        if config.sandbox.required && confinement.landlock != Enforcement::Full {
            return Err(StartError::Unprotected("landlock".to_owned()));
        }
        Ok(Self { confinement, programs: Arc::new(programs), places })
    }

    /// Whether a program can still be started. One that is not there is found missing when it is.
    pub fn allows(&self, program: &Path) -> bool {
        let found = found(program);
        self.confinement.landlock == Enforcement::None
            || found.is_none_or(|program| self.places.allow(&program))
    }
}

/// The folders of its files and its sockets.
fn writable(paths: &Paths) -> Result<Vec<PathBuf>, StartError> {
    let mut folders = vec![paths.state.clone(), paths.spool.clone(), paths.uploads.clone()];
    for folder in [&paths.socket, &paths.descriptor_socket].into_iter().filter_map(|path| path.parent()) {
        create_private_dir(folder).map_err(|error| SocketError::Folder(folder.to_owned(), error))?;
        folders.push(folder.to_owned());
    }
    Ok(folders)
}

/// The folders of the vault and the pinentry: their files may be replaced by newer ones while the agent runs.
fn executable(config: &Config, paths: &Paths) -> Vec<PathBuf> {
    let programs = [Some(&paths.vault), config.unlock.pinentry.as_ref()];
    let folder = |program: &PathBuf| Some(found(program)?.parent()?.to_owned());
    programs.into_iter().flatten().filter_map(folder).collect()
}

/// Where a program really stands; a name alone is looked for as execvp(3) does.
fn found(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.canonicalize().ok();
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|folder| folder.join(program).canonicalize().ok())
}
