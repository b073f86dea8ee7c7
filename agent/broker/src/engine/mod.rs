//! The work of the Crypto and Messages services: sealing, opening, signing, judging, on behalf of one identity.
//!
//! Content keys and plaintext live here while a call runs; long-term keys never do.

mod account;
mod detached;
mod digests;
mod flow;
mod judge;
mod open;
mod open_stream;
mod recipients;
mod seal;
mod seal_stream;
mod share;
mod spool;

pub use detached::{sign, sign_stream, verify, verify_stream};
pub use flow::{Sink, Source};
pub use open::{OpenOptions, open};
pub use open_stream::{Release, open_stream};
pub use recipients::{Document, fresh_id, parse_recipients};
pub use seal::seal;
pub use seal_stream::seal_stream;
pub use share::share;

use crate::error::{Error, Result};

/// Work on more bytes than this goes to a thread that may block.
const INLINE: usize = 256 * 1024;

/// Runs work on the calling thread if it is short, else on one that may block, so that other calls go on.
async fn compute<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if bytes <= INLINE {
        Ok(work())
    } else {
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }
}
