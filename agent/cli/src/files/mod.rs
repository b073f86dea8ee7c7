//! Inputs and outputs: files, pipes and the terminal.

mod input;
mod sealed;
mod target;
mod writer;

pub use input::{Chunks, Gathered, Input, path_or_stdin};
pub use sealed::{MAGIC, SealedFile};
pub use target::{Content, Existing, Place, Target, with_added_extension};
pub use writer::Writer;
