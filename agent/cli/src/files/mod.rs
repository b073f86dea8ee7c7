//! Inputs and outputs: files, pipes and the terminal.

mod input;
mod sealed;
mod target;
mod text;
mod writer;

pub use input::{Chunks, Gathered, Input, path_or_stdin};
pub use sealed::{MAGIC, SealedFile};
pub use target::{Content, Existing, Place, Target, with_added_extension};
pub use writer::Writer;

use tokio::task::spawn_blocking;

use crate::error::Error;

/// Runs what may wait for a pipe or a disk on a thread of its own: this one stays free to hear of Ctrl-C.
pub async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(|error| Error::Software(error.to_string()))?
}
