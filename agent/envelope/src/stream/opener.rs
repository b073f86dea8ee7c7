//! Opening a sealed stream, pushed in pieces of any size.

use crate::{Error, stream::StreamKey};

/// Opens what follows the header: segments, then trailer and its length.
///
/// Call [`Opener::push`] with the bytes as they come, [`Opener::next_segment`] until it gives `false`, and at the end
/// [`Opener::end_input`], the remaining segments, and [`Opener::finish`]. Buffers at most one segment, the
/// largest trailer and the piece pushed last.
pub struct Opener {
    commitment: [u8; 32],
}

/// What came after the last segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The trailer: a SignedData message, DER or BER, unverified; `None` in an unsigned stream.
    pub trailer: Option<Vec<u8>>,
    /// Bytes of plaintext.
    pub length: u64,
}

impl Opener {
    /// Starts after the header, with the key from its envelope.
    ///
    /// # Errors
    /// [`Error::Key`] when AWS-LC fails.
    pub fn new(key: &StreamKey) -> Result<Self, Error> {
        Ok(Self { commitment: key.derive_commitment()? })
    }

    /// The value the signed manifest must have ([`crate::stream::Manifest::commitment`]).
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        self.commitment
    }

    /// Takes the next bytes, at most 1 MiB at a time; take out the segments in between.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more at once, or when segments were left inside; [`Error::Stream`] after the end.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let _ = bytes;
        Err(Error::Malformed)
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// [`Error::Stream`] when the stream is truncated or its trailer's length is wrong.
    pub fn end_input(&mut self) -> Result<(), Error> {
        Err(Error::Malformed)
    }

    /// Decrypts the next segment into `out`, whose former contents are dropped. `false` when there is none yet, or,
    /// after [`Opener::end_input`], none any more.
    ///
    /// # Errors
    /// [`Error::DecryptionFailed`], whatever the cause; a truncation at a segment boundary is one.
    pub fn next_segment(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        let _ = out;
        Err(Error::DecryptionFailed)
    }

    /// Ends the stream, after its last segment.
    ///
    /// # Errors
    /// [`Error::Stream`] with `Truncated` when the last segment was not reached.
    pub fn finish(self) -> Result<Ending, Error> {
        Err(Error::Malformed)
    }
}
