//! A sealed stream on its way to the platform, in blocks, none of which goes out before it may.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use life_envelope::signature::content_digest;
use tokio::sync::mpsc;

use super::journal::{Block, Journal, Trailer};
use crate::engine::compute;
use crate::engine::flow::Sink;
use crate::error::{Error, Fault, Result};

/// Bytes of a block: three of them at the most are kept.
const BLOCK: usize = 2 * 1024 * 1024;
/// The metadata of a content that is not the one that was begun.
const DIFFERS: &str = "content_differs";

/// What lets blocks go out: the journal, which knows what went out before.
pub struct Proof<'a> {
    /// Where what goes out is noted; nowhere for an upload that ends with its call.
    pub journal: Option<&'a mut Journal>,
    /// Of a fresh upload what its journal begins with: version, upload, and everything before the first segment.
    pub begin: Option<(u64, [u8; 16], Bytes)>,
    /// Blocks that went out before, or were about to.
    pub before: VecDeque<Block>,
    /// Set when a later call can go on with the upload.
    pub kept: Arc<AtomicBool>,
}

/// Gathers what is sealed in blocks.
pub struct Blocks<'a> {
    block: BytesMut,
    full: mpsc::Sender<Bytes>,
    proof: Proof<'a>,
}

/// The content that a call brings is not the one that an earlier call began to send under the same key. None of it has
/// gone out.
pub fn differs() -> Error {
    let why = "an earlier call that was cut had begun to send another content";
    let (what, next) = ("the document is not stored yet", "call again: it is sent from its beginning");
    Fault::ResourceExhausted.because(why).told_as(what, next).with(DIFFERS, "true")
}

/// Whether that is what went wrong.
pub fn is_another_content(error: &Error) -> bool {
    error.metadata(DIFFERS).is_some()
}

impl Proof<'_> {
    /// Lets a block go out. `last` are blocks behind which nothing follows.
    async fn vouch(&mut self, block: &Bytes, last: Last) -> Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        if self.begin.is_some() && last == Last::Yes {
            // So short that it is sent again sooner than it is looked up.
            return Ok(());
        }
        let hashed = block.clone();
        let digest = compute(block.len(), move || content_digest(&hashed)).await?;
        let block = Block { digest, length: u32::try_from(block.len()).map_err(Error::internal)? };
        if let Some(before) = self.before.pop_front() {
            return if before == block { Ok(()) } else { Err(differs()) };
        }
        if let Some((version, upload, start)) = self.begin.take() {
            // It is written whether or not this call is there to see it: a later one may go on with the upload already.
            self.kept.store(true, Ordering::Relaxed);
            journal.begin(version, &upload, &start).await?;
        }
        journal.block(&block).await?;
        self.kept.store(journal.is_kept(), Ordering::Relaxed);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    No,
    Yes,
}

impl<'a> Blocks<'a> {
    /// Blocks that go to a sender once they may.
    pub fn new(full: mpsc::Sender<Bytes>, proof: Proof<'a>) -> Self {
        Self { block: BytesMut::new(), full, proof }
    }

    /// Lets a trailer go out, which is sealed under a nonce that serves once: before it is put.
    ///
    /// # Errors
    /// As [`Journal::trailer`].
    pub async fn vouch_trailer(&mut self, trailer: &Trailer) -> Result<()> {
        if self.proof.begin.is_some() {
            // Nothing of it is in the journal, and all of it stays out, also where the trailer fills a block.
            self.proof.journal = None;
        }
        match &mut self.proof.journal {
            Some(journal) => journal.trailer(trailer).await,
            None => Ok(()),
        }
    }

    /// Whether everything that an earlier call let out has come again.
    pub fn is_compared(&self) -> bool {
        self.proof.before.is_empty()
    }

    async fn pass_on(&mut self, length: usize, last: Last) -> Result<()> {
        let block = self.block.split_to(length).freeze();
        self.proof.vouch(&block, last).await?;
        self.full.send(block).await.map_err(|_| Error::internal("nobody sends what was sealed"))
    }

    /// Passes on the rest.
    ///
    /// # Errors
    /// When the content ends before what went out of another one.
    pub async fn finish(mut self) -> Result<()> {
        if !self.block.is_empty() {
            self.pass_on(self.block.len(), Last::Yes).await?;
        }
        if self.proof.before.is_empty() { Ok(()) } else { Err(differs()) }
    }
}

impl Sink for Blocks<'_> {
    async fn put(&mut self, piece: Bytes) -> Result<()> {
        if self.block.capacity() < self.block.len() + piece.len() {
            self.block.reserve(BLOCK + piece.len());
        }
        self.block.extend_from_slice(&piece);
        while self.block.len() >= BLOCK {
            self.pass_on(BLOCK, Last::No).await?;
        }
        Ok(())
    }
}
