//! What runs: written before each step that leaves something behind, so that `down` finds it.

use std::path::PathBuf;

use life_sys::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::process::Process;
use super::trust;
use crate::error::Error;

/// The version of the file.
const VERSION: u32 = 1;

/// What runs, in the order of starting.
#[derive(Debug, Deserialize, Serialize)]
pub struct State {
    version: u32,
    /// The processes.
    pub processes: Vec<Process>,
    /// The folder of the sockets, where it lies outside.
    pub short_folder: Option<PathBuf>,
}

impl State {
    /// Nothing runs.
    pub fn new() -> Self {
        Self { version: VERSION, processes: Vec::new(), short_folder: None }
    }

    /// Reads what an earlier run wrote; nothing when there is no such file.
    ///
    /// Fails with [`Error::Config`] when somebody else can have written it, or when it names what `up` cannot have
    /// made: a folder elsewhere, or a live process that is none of our programs.
    pub fn read(layout: &Layout) -> Result<Option<Self>, Error> {
        let path = layout.state();
        if !layout.root().exists() {
            return Ok(None);
        }
        trust::check_folder(layout.root())?;
        let Some(text) = trust::read(&path)? else {
            return Ok(None);
        };
        let state: Option<Self> = serde_json::from_slice(&text).ok();
        match state {
            Some(state) if state.version == VERSION => {
                state.short_folder.as_deref().map_or(Ok(()), trust::check_short_folder)?;
                state.processes.iter().try_for_each(Process::check)?;
                Ok(Some(state))
            }
            _ => Err(Error::data(
                "FORMAT_INVALID",
                format!("{} is damaged, or of another version: nothing was ended", path.display()),
            )),
        }
    }

    /// Writes it.
    pub fn write(&self, layout: &Layout) -> Result<(), Error> {
        let path = layout.state();
        let text = serde_json::to_vec_pretty(self).map_err(|error| Error::Software(error.to_string()))?;
        write_atomically(&path, &text, 0o600).map_err(|error| Error::write(path.display().to_string(), error))
    }
}
