//! Sealing a stream, segment by segment, in place.

use aws_lc_rs::aead::Aad;
use life_pki::PublicKey;
use life_pki::key::KeyError;

use super::header;
use super::segments::Segments;
use super::{StreamKey, TAG};
use crate::{DocumentId, Error, envelope, limits};

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
    commitment: [u8; 32],
}

impl Sealer {
    /// Starts a stream for these root credentials. Returns everything that stands before the first segment: magic,
    /// version, envelope and Tink's header.
    ///
    /// # Errors
    /// As [`crate::envelope::seal`].
    pub fn new(
        document_id: DocumentId,
        document_version: u64,
        recipients: &[PublicKey],
    ) -> Result<(Vec<u8>, Self), Error> {
        let key = StreamKey::generate(document_id, document_version)?;
        let (envelope, _) = envelope::seal(&key.to_content(), recipients)?;
        let (segments, tink) = Segments::generate(&key)?;
        let mut start = header::write(&envelope)?;
        start.extend_from_slice(&tink);
        Ok((start, Self { segments, commitment: key.derive_commitment()? }))
    }

    /// Starts with salt and nonce prefix given, for a second implementation.
    #[cfg(test)]
    pub(crate) fn with_header(key: &StreamKey, header: &[u8; super::TINK_HEADER]) -> Result<Self, Error> {
        Ok(Self { segments: Segments::from_header(key, header)?, commitment: key.derive_commitment()? })
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
}

/// What follows the last segment's tag: the trailer (a SignedData over the manifest, or nothing) and its length.
///
/// # Errors
/// [`Error::TooLarge`] for a trailer beyond the limit.
pub fn trailer(signed_data: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let trailer = signed_data.unwrap_or_default();
    crate::asn1::check_size(trailer, limits::MAX_SIGNATURE)?;
    let length = u32::try_from(trailer.len()).map_err(|_| Error::TooLarge)?;
    Ok([trailer, &length.to_be_bytes()].concat())
}
