//! Digests of segments, computed beside the stream: hashing costs more than encrypting.

use std::collections::VecDeque;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{Bytes, BytesMut};
use life_envelope::stream::{Digests, Manifest};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

/// Segments that may wait for their digest: what bounds the memory.
const AHEAD: usize = 4;
/// Pieces below this size are gathered.
const SMALL: usize = 64 * 1024;

/// Gathers the digests of a stream's segments in their order.
#[derive(Default)]
pub struct SegmentDigests {
    done: Digests,
    running: VecDeque<(JoinHandle<[u8; 32]>, usize)>,
}

impl SegmentDigests {
    /// Adds a segment, given in pieces; waits when several are not done yet.
    pub async fn push(&mut self, pieces: Vec<Bytes>) -> Result<()> {
        if self.running.len() >= AHEAD {
            self.settle().await?;
        }
        let length = pieces.iter().map(Bytes::len).sum();
        let digest = tokio::task::spawn_blocking(move || {
            let mut context = Context::new(&SHA256);
            pieces.iter().for_each(|piece| context.update(piece));
            let mut digest = [0; 32];
            digest.copy_from_slice(context.finish().as_ref());
            digest
        });
        self.running.push_back((digest, length));
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        if let Some((digest, length)) = self.running.pop_front() {
            self.done.push(&digest.await.map_err(Error::internal)?, length);
        }
        Ok(())
    }

    /// The manifest of all segments.
    pub async fn finish(mut self, commitment: [u8; 32]) -> Result<Manifest> {
        while !self.running.is_empty() {
            self.settle().await?;
        }
        Ok(self.done.finish(commitment))
    }
}

/// One running digest over a whole content, computed beside the stream that brings it.
pub struct RunningDigest {
    running: JoinHandle<Context>,
    /// Small pieces that are not worth a hand-over each.
    small: BytesMut,
}

impl RunningDigest {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self { running: tokio::task::spawn_blocking(|| Context::new(&SHA256)), small: BytesMut::new() }
    }

    /// Adds a piece; waits for the one before.
    pub async fn push(&mut self, piece: Bytes) -> Result<()> {
        if piece.len() >= SMALL && self.small.is_empty() {
            return self.add(piece).await;
        }
        self.small.extend_from_slice(&piece);
        if self.small.len() < SMALL {
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.small).freeze();
        self.add(gathered).await
    }

    async fn add(&mut self, piece: Bytes) -> Result<()> {
        let mut context = (&mut self.running).await.map_err(Error::internal)?;
        self.running = tokio::task::spawn_blocking(move || {
            context.update(&piece);
            context
        });
        Ok(())
    }

    /// The digest.
    pub async fn finish(self) -> Result<[u8; 32]> {
        let mut context = self.running.await.map_err(Error::internal)?;
        context.update(&self.small);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    use life_envelope::signature::content_digest;

    use super::*;

    #[tokio::test]
    async fn segments_keep_their_order_and_pieces_do_not_matter() {
        let mut digests = SegmentDigests::default();
        let mut plain = Digests::new();
        for n in 0..20u8 {
            let segment = vec![n; 1000];
            plain.push(&content_digest(&segment), 1000);
            let (a, b) = segment.split_at(usize::from(n));
            digests.push(vec![Bytes::copy_from_slice(a), Bytes::copy_from_slice(b)]).await.unwrap();
        }
        assert_eq!(digests.finish([1; 32]).await.unwrap(), plain.finish([1; 32]));
    }

    #[tokio::test]
    async fn a_running_digest_is_that_of_the_whole() {
        let mut digest = RunningDigest::new();
        let large = Bytes::from(vec![7; SMALL]);
        let mut whole = Vec::new();
        for piece in [b"abc".as_slice(), &large, b"d", &large[1..], b"ef", &large, &large, b"g"] {
            digest.push(Bytes::copy_from_slice(piece)).await.unwrap();
            whole.extend_from_slice(piece);
        }
        assert_eq!(digest.finish().await.unwrap(), content_digest(&whole));
    }
}
