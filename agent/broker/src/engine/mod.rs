//! The work of the Crypto, Documents and Messages services: sealing, opening, signing, judging, on behalf of one identity.
//!
//! Content keys and plaintext live here while a call runs; long-term keys never do.

mod account;
mod buffers;
mod detached;
mod digests;
mod documents;
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
pub use documents::{Current as CurrentDocument, Documents, Put as PutDocument, Wanted, sweep_uploads};
pub use flow::{Sink, Source};
pub use judge::receipt;
pub use open::{OpenOptions, open};
pub use open_stream::{Release, open_stream};
pub use recipients::{Document, fresh_id, parse_recipients, parse_users};
pub use seal::seal;
pub use seal_stream::seal_stream;
pub use share::{Shared, share};

use life_proto::v1::{self, TrustState};

use crate::error::{Error, Result};
use crate::identities::Identity;
use crate::names;

/// Notes that a caller learns of the users it meets for the first time.
async fn told(identity: &Identity, signature: Option<&v1::SignatureReport>, recipients: &[v1::Recipient]) {
    let first = TrustState::FirstUse;
    let signer = signature.filter(|it| it.trust() == first).map(|it| it.signer.as_str());
    let others = recipients.iter().filter(|it| it.trust() == first).map(|it| it.user.as_str());
    let users = signer.into_iter().chain(others).filter_map(|name| names::parse_user("user", name).ok());
    identity.directory.told(users).await;
}

/// Work on more bytes than this goes to a thread that may block.
const INLINE: usize = 256 * 1024;

/// Runs work on the calling thread if it is short, else on one that may block, so that other calls go on.
pub async fn compute<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    if bytes <= INLINE {
        Ok(work())
    } else {
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }
}
