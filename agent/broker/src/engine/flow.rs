//! Where the bytes of a stream come from and go to: a caller's stream or a body to or from the platform.

use std::future::Future;

use bytes::Bytes;

use crate::error::Result;

/// Gives bytes, piece by piece.
pub trait Source: Send {
    /// The next piece, 1 byte to 1 MiB; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>>> + Send;
}

/// Takes bytes, piece by piece, as fast as the reader behind it reads.
pub trait Sink: Send {
    /// Takes a piece; returns when there is room for it.
    fn put(&mut self, piece: Bytes) -> impl Future<Output = Result<()>> + Send;
}

/// A sink that keeps nothing.
pub struct Nowhere;

impl Sink for Nowhere {
    async fn put(&mut self, _: Bytes) -> Result<()> {
        Ok(())
    }
}

/// A source over bytes at hand.
pub struct Whole(pub Option<Bytes>);

impl Source for Whole {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.as_mut().and_then(|rest| {
            let piece = rest.split_to(rest.len().min(life_proto::CHUNK_LIMIT));
            (!piece.is_empty()).then_some(piece)
        }))
    }
}
