//! Finding the other programs: beside this one, else in the PATH.

use std::env;
use std::path::PathBuf;

use crate::error::Error;

/// The path of a program of the same release.
pub fn find(name: &str) -> Result<PathBuf, Error> {
    let beside = env::current_exe().ok().and_then(|exe| exe.parent().map(|folder| folder.join(name)));
    if let Some(path) = beside.filter(|path| path.is_file()) {
        return Ok(path);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        Error::Dev(format!("{name} is neither beside this program nor in the PATH: install it"))
    })
}
