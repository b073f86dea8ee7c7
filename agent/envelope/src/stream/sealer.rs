//! Sealing a stream, segment by segment, in place.

use life_pki::PublicKey;

use crate::{ContentKey, DocumentId, Error};

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
        let _ = (document_id, document_version, recipients, None::<ContentKey>);
        Err(Error::Malformed)
    }

    /// The value of the manifest's commitment.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        self.commitment
    }

    /// Plaintext bytes the next segment must have, unless it is the last: then it may have fewer.
    #[must_use]
    pub fn segment_size(&self) -> usize {
        0
    }

    /// Encrypts the next segment in place and returns its tag, which goes right behind it.
    ///
    /// # Errors
    /// [`Error::Stream`] for a segment of the wrong length or after the last; [`Error::Key`] when AWS-LC fails.
    pub fn seal_segment(&mut self, segment: &mut [u8], position: Position) -> Result<[u8; 16], Error> {
        let _ = (segment, position);
        Err(Error::Malformed)
    }
}

/// What follows the last segment's tag: the trailer (a SignedData over the manifest, or nothing) and its length.
///
/// # Errors
/// [`Error::TooLarge`] for a trailer beyond the limit.
pub fn trailer(signed_data: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let _ = signed_data;
    Err(Error::Malformed)
}
