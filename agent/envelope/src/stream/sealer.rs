//! Sealing a stream, segment by segment, in place.

use aws_lc_rs::aead::Aad;
use life_pki::PublicKey;
use life_pki::key::KeyError;

use super::header;
use super::segments::Segments;
use super::{Announced, StreamKey, TAG, TINK_HEADER, TrailerKey};
use crate::{DocumentId, Error, StreamFault, envelope};

/// Whether a segment is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// More segments follow; this one is full.
    Inner,
    /// The last segment: 1 byte to full, or empty if it is the only one.
    Last,
}

/// Seals the segments of one stream.
pub struct Sealer {
    segments: Segments,
    trailer: TrailerKey,
    commitment: [u8; 32],
    announced: Announced,
}

life_sys::secret_types!(Sealer);

impl Sealer {
    /// Starts a stream for these root credentials. Returns everything that stands before the first segment: magic,
    /// version, envelope and Tink's header.
    ///
    /// # Errors
    /// As [`crate::envelope::seal`].
    pub fn new(
        document_id: DocumentId,
        document_version: u64,
        announced: Announced,
        recipients: &[PublicKey],
    ) -> Result<(Vec<u8>, Self), Error> {
        let key = StreamKey::generate(document_id, document_version, announced)?;
        let (envelope, _) = envelope::seal(&key.to_content(), recipients)?;
        let (segments, tink) = Segments::generate(&key)?;
        let mut start = header::write(&envelope)?;
        start.extend_from_slice(&tink);
        Ok((start, Self::with(&key, &tink, segments)?))
    }

    /// Seals a stream that was begun earlier once more from its first segment, under its key and Tink's header, and
    /// thus with the same nonces. Whatever of that stream was given out before must come out the same: the caller
    /// proves that before it gives out anything further (NIST SP 800-38D §8: no nonce for two plaintexts).
    ///
    /// # Errors
    /// [`Error::Malformed`] for a header that is not Tink's; [`Error::Key`] when AWS-LC fails.
    pub fn again(key: &StreamKey, header: &[u8; TINK_HEADER]) -> Result<Self, Error> {
        Self::with(key, header, Segments::from_header(key, header)?)
    }

    fn with(key: &StreamKey, header: &[u8; TINK_HEADER], segments: Segments) -> Result<Self, Error> {
        let trailer = TrailerKey::derive(key, header)?;
        Ok(Self { segments, trailer, commitment: key.derive_commitment()?, announced: key.announced() })
    }

    /// The value of the manifest's commitment.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        self.commitment
    }

    /// Plaintext bytes the next segment must have, unless it is the last: then it may have fewer.
    #[must_use]
    pub fn segment_size(&self) -> usize {
        self.segments.size()
    }

    /// Encrypts the next segment in place and returns its tag, which goes right behind it.
    ///
    /// # Errors
    /// [`Error::Stream`] for a segment of the wrong length or after the last; [`Error::Key`] when AWS-LC fails.
    pub fn seal_segment(&mut self, segment: &mut [u8], position: Position) -> Result<[u8; TAG], Error> {
        let nonce = self.segments.advance(segment.len(), position)?;
        let tag = self
            .segments
            .cipher()
            .seal_in_place_separate_tag(nonce, Aad::empty(), segment)
            .map_err(|_| KeyError::Operation)?;
        tag.as_ref().try_into().map_err(|_| KeyError::Operation.into())
    }

    /// Ends the stream, after its last segment. Returns what follows that segment's tag: the sealed trailer, with a
    /// SignedData over the manifest or nothing inside, and its length.
    ///
    /// # Errors
    /// [`Error::Stream`] with `Truncated` before the last segment, with `TrailerMismatch` for something else than was
    /// announced; [`Error::TooLarge`] for a signature beyond the limit.
    pub fn finish(self, signed_data: Option<&[u8]>) -> Result<Vec<u8>, Error> {
        if !self.segments.has_ended() {
            return Err(StreamFault::Truncated.into());
        }
        if signed_data.is_some() != (self.announced == Announced::Signature) {
            return Err(StreamFault::TrailerMismatch.into());
        }
        self.trailer.seal(signed_data)
    }
}
