//! What runs: written before each step that leaves something behind, so that `down` finds it.

use std::fs;
use std::io;
use std::path::PathBuf;

use life_sys::files::write_atomically;
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::process::Process;
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
    pub fn read(layout: &Layout) -> Result<Option<Self>, Error> {
        let path = layout.state();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { name: path.display().to_string(), source }),
        };
        let state: Option<Self> = serde_json::from_slice(&text).ok();
        match state {
            Some(state) if state.version == VERSION => Ok(Some(state)),
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
