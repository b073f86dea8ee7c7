//! Keeping a software certificate that cannot be written where it was to go: it is the only way to unlock the account.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};

use life_sys::files::{Existing, UnlinkedTemp};

use crate::connection::variable;
use crate::error::Error;
use crate::files::Place;

/// How many names are tried in a folder.
const NAMES: u32 = 100;

/// Saves the certificate under a name that is free, beside its place, else in the agent's state folder, the home folder
/// or the folder of temporary files; gives the error that says where, or that it is lost.
pub fn rescue(uid: &str, pkcs12: &[u8], place: &Place, cause: Error) -> Error {
    let saved = folders(place).iter().find_map(|folder| save(folder, uid, pkcs12));
    Error::Rescued { uid: uid.to_owned(), saved, cause: Box::new(cause) }
}

fn folders(place: &Place) -> Vec<PathBuf> {
    let beside = match place {
        Place::Path(path) => path.parent().map(|folder| match folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => folder.to_owned(),
        }),
        Place::Stdout => None,
    };
    let folders = directories::BaseDirs::new();
    let state = variable("LIFE_STATE_DIR").map(PathBuf::from);
    let state = state
        .or_else(|| folders.as_ref().and_then(|folders| folders.state_dir()).map(|dir| dir.join("life")));
    let home = folders.as_ref().map(|folders| folders.home_dir().to_owned());
    beside.into_iter().chain(state).chain(home).chain([env::temp_dir()]).collect()
}

/// Saves under the first name that is free; nothing where the folder does not take it.
fn save(folder: &Path, uid: &str, pkcs12: &[u8]) -> Option<PathBuf> {
    for number in 0..NAMES {
        let name = match number {
            0 => format!("{uid}.p12"),
            number => format!("{uid}-{number}.p12"),
        };
        let path = folder.join(name);
        let mut staged = UnlinkedTemp::beside(&path, 0o600).ok()?;
        staged.file().write_all(pkcs12).ok()?;
        match staged.persist(Existing::Keep) {
            Ok(()) => return Some(path.canonicalize().unwrap_or(path)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn failed() -> Error {
        Error::BrokenPipe
    }

    #[test]
    fn a_free_name_beside_the_place_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Path(folder.path().join("me.p12"));
        fs::write(folder.path().join("u-1.p12"), b"another").unwrap();
        for expected in ["u-1-1.p12", "u-1-2.p12"] {
            let error = rescue("u-1", b"certificate", &place, failed());
            let path = folder.path().join(expected);
            assert!(error.to_string().contains(expected), "{error}");
            assert_eq!(fs::read(&path).unwrap(), b"certificate");
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read(folder.path().join("u-1.p12")).unwrap(), b"another");
    }

    #[test]
    fn a_folder_that_takes_nothing_is_not_the_end() {
        assert_eq!(save(Path::new("/proc"), "u-1", b"certificate"), None);
        assert_eq!(save(Path::new("/nonexistent"), "u-1", b"certificate"), None);
        assert!(folders(&Place::Stdout).len() >= 2);
    }
}
