//! Ending what `up` started.

use std::fs;

use super::layout::Layout;
use super::state::State;
use crate::error::Error;

/// Ends the processes of a set-up, the last started first, and waits for them. Gives their number; none is no error.
pub fn stop(layout: &Layout) -> Result<usize, Error> {
    let Some(mut state) = State::read(layout)? else {
        return Ok(0);
    };
    let mut ended = 0;
    for process in state.processes.iter().rev() {
        ended += usize::from(process.is_alive());
        process.end()?;
    }
    if let Some(folder) = state.short_folder.take() {
        let _gone_already = fs::remove_dir_all(folder);
    }
    state.processes.clear();
    state.write(layout)?;
    Ok(ended)
}

/// Ends the processes and removes what `up` made.
///
/// Fails with [`Error::Config`] for a folder that is no set-up: what lies there under the same names is not ours.
pub fn remove(layout: &Layout) -> Result<usize, Error> {
    if State::read(layout)?.is_none() {
        let root = layout.root().display();
        return Err(Error::Config(format!(
            "{root} holds no set-up of `life dev up`, which would have a dev.json: nothing was removed"
        )));
    }
    let ended = stop(layout)?;
    layout.remove()?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::{Child, Command};

    use serde_json::json;

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").process_group(0).spawn().unwrap()
    }

    /// A set-up whose state file somebody else has written.
    fn planted(root: &Path, processes: serde_json::Value, short_folder: Option<&Path>) -> Layout {
        let layout = Layout::create(root).unwrap();
        let state = json!({ "version": 1, "processes": processes, "short_folder": short_folder });
        fs::write(layout.state(), state.to_string()).unwrap();
        layout
    }

    #[test]
    fn a_folder_that_is_no_set_up_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["agent", "users", "logs"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("env"), b"mine").unwrap();
        let layout = Layout::existing(folder.path());
        assert!(matches!(remove(&layout), Err(Error::Config(_))));
        assert_eq!(stop(&layout).unwrap(), 0);
        fs::write(layout.state(), b"{}").unwrap();
        assert!(remove(&layout).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
    }

    #[test]
    fn a_process_that_is_none_of_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut sleeper = sleeper();
        let process = super::super::process::known("agent", sleeper.id()).unwrap();
        let layout = planted(&folder.path().join("dev"), json!([process]), None);
        assert!(matches!(stop(&layout), Err(Error::Config(_))));
        assert!(matches!(remove(&layout), Err(Error::Config(_))));
        assert!(sleeper.try_wait().unwrap().is_none(), "it was ended");
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        assert_eq!(remove(&layout).unwrap(), 0, "once it is gone nothing is in the way");
    }

    #[test]
    fn a_folder_elsewhere_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let precious = folder.path().join("precious");
        fs::create_dir(&precious).unwrap();
        let layout = planted(&folder.path().join("dev"), json!([]), Some(&precious));
        assert!(matches!(stop(&layout), Err(Error::Config(_))));
        assert!(precious.exists());
    }

    #[test]
    fn a_state_file_that_others_can_write_is_not_believed() {
        use std::fs::Permissions;
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let layout = planted(&folder.path().join("dev"), json!([]), None);
        fs::set_permissions(layout.state(), Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(remove(&layout), Err(Error::Config(_))));
        fs::set_permissions(layout.state(), Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(layout.root(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(remove(&layout), Err(Error::Config(_))));
        assert!(layout.users().exists());
    }
}
