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
pub fn remove(layout: &Layout) -> Result<usize, Error> {
    let ended = stop(layout)?;
    layout.remove()?;
    Ok(ended)
}
