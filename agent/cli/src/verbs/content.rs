//! What the verbs that move content have in common.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use life_proto::v1;
use life_proto::{CHUNK_LIMIT, UNARY_LIMIT};

use crate::files::{Existing, Place};
use crate::output::Stdout;

/// The longest envelope or signed content that a unary call takes: 16 MiB of content, and what surrounds it.
pub const MESSAGE_LIMIT: usize = UNARY_LIMIT + CHUNK_LIMIT;
/// The longest detached signature, receipt and trailer.
pub const SIGNATURE_LIMIT: usize = 256 * 1024;

/// Where content goes.
#[derive(Args, Debug)]
pub struct OutputArguments {
    /// Where to write; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the output file if it exists
    #[arg(short, long)]
    pub force: bool,
}

impl OutputArguments {
    /// What `-o` says, else a place beside the input under a name made by `derive`.
    pub fn place(&self, input: &Path, derive: impl FnOnce(&Path) -> Option<PathBuf>) -> Place {
        match &self.output {
            Some(path) => Place::named(path.clone()),
            None => Place::beside(input, derive),
        }
    }

    /// What happens to a file that is there already.
    pub fn overwrite(&self) -> Existing {
        if self.force { Existing::Replace } else { Existing::Keep }
    }
}

/// What standard output carries when content goes to a place.
pub fn stdout_of(place: &Place) -> Stdout {
    match place {
        Place::Path(_) => Stdout::Reports,
        Place::Stdout => Stdout::Content,
    }
}

/// What a signature around encrypted content is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// A document
    #[default]
    Document,
    /// A message
    Message,
}

impl From<Purpose> for v1::SignaturePurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Document => Self::Document,
            Purpose::Message => Self::Message,
        }
    }
}
