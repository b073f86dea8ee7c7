//! Going on with an upload that an earlier call began and that was cut: its caller went away, or somebody was killed.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Documents;
use super::ends::Ends;
use super::journal::{Begun, Journal, Trailer};
use crate::engine::flow::Source;
use crate::engine::recipients::Document;
use crate::engine::seal_stream::Sealing;
use crate::error::{Error, Fault, Result};
use crate::platform::Upload;

/// Bytes of a content that are kept, so that another content than the one begun need not be asked for again.
const REWIND: usize = 16 << 20;

/// What can be gone on with.
pub struct Resumed<'a> {
    /// The upload.
    pub upload: Upload,
    /// How much of it the platform has.
    pub there: u64,
    /// Seals the same stream once more.
    pub sealing: Sealing<'a>,
    /// What an earlier call perhaps sent.
    pub begun: Begun,
}

life_sys::secret_types!(Resumed<'static>);

impl Documents<'_> {
    /// Takes up what an earlier call began, if that is the same but for the content, which is compared as it comes.
    ///
    /// # Errors
    /// When platform or vault do not answer; as `Crypto.EncryptStream` for a recipient who is not to be trusted.
    pub async fn resume<'a>(&'a self, document: &'a Document, begun: Begun) -> Result<Option<Resumed<'a>>> {
        let upload = Upload::new(&document.id.0, &begun.upload);
        let resumed = self.take_up(document, &upload, begun).await;
        if matches!(&resumed, Err(error) if !is_cut(error)) {
            // No later call will go on with it.
            self.abandon(&upload).await;
        }
        resumed
    }

    async fn take_up<'a>(
        &'a self,
        document: &'a Document,
        upload: &Upload,
        begun: Begun,
    ) -> Result<Option<Resumed<'a>>> {
        let client = &self.identity.client;
        let there = match self.patience().persist(|| client.upload_offset(upload)).await {
            Ok(there) => there,
            Err(error) if error.fault() == Fault::VersionConflict => return Ok(None),
            Err(error) => return Err(error),
        };
        // More than was ever sent is of another journal than this one: a copy from earlier, perhaps.
        if begun.version == document.version
            && there <= begun.sent()
            && self.trailer_fits(&begun).await?
            && let Some(sealing) = Sealing::again(self.identity, document, begun.start.clone()).await?
        {
            return Ok(Some(Resumed { upload: upload.clone(), there, sealing, begun }));
        }
        self.abandon(upload).await;
        Ok(None)
    }

    /// Whether a trailer is still good: signed with the certificate that signs now.
    async fn trailer_fits(&self, begun: &Begun) -> Result<bool> {
        let Some(trailer) = &begun.trailer else { return Ok(true) };
        match self.ends_of(&begun.start, trailer).signed(self.identity).await {
            Ok((_, verified)) => {
                let certificate = self.identity.signature_certificate.der();
                Ok(verified.signer_certificate() == certificate
                    && *verified.signature_digest() == trailer.signature)
            }
            Err(error) if is_cut(&error) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// The two ends of a stream that was begun.
    pub fn ends_of(&self, start: &Bytes, trailer: &Trailer) -> Ends {
        let length = trailer.bytes.len().saturating_sub(4);
        Ends { start: start.clone(), trailer: trailer.bytes.slice(..length) }
    }

    /// Gives all uploads up that a cut call left open, to make room. Says whether there were any.
    ///
    /// # Errors
    /// When the vault does not answer.
    pub async fn abandon_idle(&self) -> Result<bool> {
        let mut any = false;
        for (journal, id, begun) in Journal::idle(self.uploads, self.identity).await? {
            if let Some(begun) = begun {
                self.abandon(&Upload::new(&id, &begun.upload)).await;
                any = true;
            }
            journal.remove().await;
        }
        Ok(any)
    }

    /// Gives an upload up; if that fails it expires on the platform.
    async fn abandon(&self, upload: &Upload) {
        if let Err(error) = self.identity.client.give_up(upload).await {
            tracing::info!(
                reason = error.fault().reason(),
                "an upload that was cut stays open until it expires"
            );
        }
    }
}

/// Whether a fault cuts an upload short that could go on later, unlike one that would only come again.
pub fn is_cut(error: &Error) -> bool {
    matches!(
        error.fault(),
        Fault::CredentialLocked
            | Fault::DeadlineExceeded
            | Fault::PlatformUnavailable
            | Fault::PlatformUntrusted
            | Fault::ShuttingDown
            | Fault::StreamProtocol
            | Fault::VaultUnavailable
    )
}

/// A caller's content, the beginning of which can be had once more.
pub struct Rewindable<'a, S> {
    source: &'a mut S,
    /// What came so far; nothing once that was too much.
    kept: Option<VecDeque<Bytes>>,
    size: usize,
    /// What comes first.
    again: VecDeque<Bytes>,
    ended: bool,
}

impl<'a, S: Source> Rewindable<'a, S> {
    /// A content that was not read yet.
    pub fn new(source: &'a mut S) -> Self {
        Self { source, kept: None, size: 0, again: VecDeque::new(), ended: false }
    }

    /// Keeps what comes from now on, as long as that is not too much.
    pub fn keep(&mut self) {
        self.kept = Some(VecDeque::new());
    }

    /// Goes back to its beginning; says whether that is possible.
    pub fn rewind(&mut self) -> bool {
        let Some(kept) = self.kept.take() else { return false };
        self.again = kept;
        true
    }
}

impl<S: Source> Source for Rewindable<'_, S> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(piece) = self.again.pop_front() {
            return Ok(Some(piece));
        }
        if self.ended {
            return Ok(None);
        }
        let piece = self.source.next().await?;
        self.ended = piece.is_none();
        if let (Some(kept), Some(piece)) = (&mut self.kept, &piece) {
            self.size += piece.len();
            kept.push_back(piece.clone());
            if self.size > REWIND {
                self.kept = None;
            }
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::flow::Whole;

    async fn read(source: &mut impl Source, pieces: usize) -> usize {
        let mut length = 0;
        for _ in 0..pieces {
            length += source.next().await.unwrap().map_or(0, |piece| piece.len());
        }
        length
    }

    #[tokio::test]
    async fn a_content_is_rewound_as_long_as_its_beginning_is_kept() {
        for (pieces, rewound) in [(0, true), (3, true), (16, true), (17, false)] {
            let mut whole = Whole(Some(vec![7; 20 << 20].into()));
            let mut source = Rewindable::new(&mut whole);
            source.keep();
            assert_eq!(read(&mut source, pieces).await, pieces << 20);
            assert_eq!(source.rewind(), rewound, "{pieces}");
            let rest = if rewound { 20 } else { 20 - pieces };
            assert_eq!(read(&mut source, 30).await, rest << 20);
            assert!(!source.rewind(), "only once");
        }
    }
}
