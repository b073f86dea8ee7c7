//! Opening a sealed stream, pushed in pieces of any size.

use std::fmt;

use aws_lc_rs::aead::Aad;
use bytes::{Buf, Bytes};
use zeroize::Zeroize;

use super::pieces::Pieces;
use super::sealer::Position;
use super::segments::Segments;
use super::{Announced, MAX_TRAILER, StreamKey, TAG, TINK_HEADER, TrailerKey};
use crate::{Error, StreamFault};

/// The bytes of the trailer's length, the last of every stream.
const LENGTH: usize = 4;
/// As long as no more than this is left behind a segment, it may be the last one.
const HOLD_BACK: usize = MAX_TRAILER + LENGTH;
/// The largest piece that may be pushed.
const MAX_PIECE: usize = 1 << 20;

/// Opens what follows the header: segments, then the sealed trailer and its length.
///
/// Call [`Opener::push`] with the bytes as they come, [`Opener::next_segment`] until it gives `false`, and at the end
/// [`Opener::end_input`], the remaining segments, and [`Opener::finish`]. Buffers at most one segment, the
/// largest trailer and the piece pushed last.
pub struct Opener {
    key: StreamKey,
    /// There once Tink's header is.
    ciphers: Option<(Segments, TrailerKey)>,
    pieces: Pieces,
    /// There once the input has ended: the opened trailer, if there is a signature in it.
    trailer: Option<Option<Vec<u8>>>,
    length: u64,
    commitment: [u8; 32],
}

life_sys::secret_types!(Opener);

/// What came after the last segment.
#[derive(Clone, PartialEq, Eq)]
pub struct Ending {
    /// What the trailer held: a SignedData message, DER or BER, unverified; `None` in an unsigned stream.
    pub trailer: Option<Vec<u8>>,
    /// Bytes of plaintext.
    pub length: u64,
}

impl fmt::Debug for Ending {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trailer = self.trailer.as_ref().map(Vec::len);
        out.debug_struct("Ending").field("trailer_length", &trailer).field("length", &self.length).finish()
    }
}

impl Opener {
    /// Starts after the header, with the key from its envelope.
    ///
    /// # Errors
    /// [`Error::Key`] when AWS-LC fails.
    pub fn new(key: StreamKey) -> Result<Self, Error> {
        let commitment = key.derive_commitment()?;
        Ok(Self { key, ciphers: None, pieces: Pieces::default(), trailer: None, length: 0, commitment })
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
    pub fn push(&mut self, bytes: Bytes) -> Result<(), Error> {
        if self.trailer.is_some() {
            return Err(StreamFault::Ended.into());
        }
        let full = super::CIPHERTEXT_SEGMENT + TINK_HEADER + HOLD_BACK;
        if bytes.len() > MAX_PIECE || self.pieces.len() > full {
            return Err(Error::TooLarge);
        }
        self.pieces.push(bytes);
        Ok(())
    }

    /// Says that no more bytes come, and opens the trailer.
    ///
    /// # Errors
    /// [`Error::Stream`] when the stream is truncated, its trailer's length is wrong, or it holds a signature that was not
    /// announced; [`Error::DecryptionFailed`] for a
    /// trailer that does not open.
    pub fn end_input(&mut self) -> Result<(), Error> {
        if self.trailer.is_some() {
            return Err(StreamFault::Ended.into());
        }
        self.read_tink_header()?;
        let truncated = Error::Stream(StreamFault::Truncated);
        let mut rest = Bytes::from(self.pieces.take(self.pieces.len()).concat());
        let mut end = rest.split_off(rest.len().checked_sub(LENGTH).ok_or(truncated)?);
        let length = usize::try_from(end.get_u32()).map_err(|_| Error::TooLarge)?;
        if !(TAG..=MAX_TRAILER).contains(&length) {
            return Err(truncated);
        }
        let sealed = rest.split_off(rest.len().checked_sub(length).ok_or(truncated)?);
        let (_, key) = self.ciphers.as_ref().ok_or(truncated)?;
        let trailer = key.open(&sealed)?;
        if trailer.is_some() && self.key.announced() == Announced::Nothing {
            return Err(StreamFault::TrailerMismatch.into());
        }
        self.trailer = Some(trailer);
        self.pieces.push(rest);
        Ok(())
    }

    /// Decrypts the next segment into `out`, in place of what that held. `false` when there is none yet, or,
    /// after [`Opener::end_input`], none any more.
    ///
    /// # Errors
    /// [`Error::DecryptionFailed`], whatever the cause; a truncation at a segment boundary is one.
    pub fn next_segment(&mut self, out: &mut Vec<u8>) -> Result<bool, Error> {
        self.read_tink_header()?;
        let Some((segments, _)) = &mut self.ciphers else { return Ok(false) };
        if segments.has_ended() {
            return Ok(false);
        }
        let full = segments.size() + TAG;
        let position = match &self.trailer {
            Some(_) if self.pieces.len() <= full => Position::Last,
            Some(_) => Position::Inner,
            // More than any trailer is left behind this segment, so another one follows it.
            None if self.pieces.len() > full + HOLD_BACK => Position::Inner,
            None => return Ok(false),
        };
        out.clear();
        self.pieces.take_into(full, out);
        open(segments, out, position)?;
        self.length = self.length.saturating_add(out.len() as u64);
        Ok(true)
    }

    /// Ends the stream, after its last segment.
    ///
    /// # Errors
    /// [`Error::Stream`] with `Truncated` when the last segment was not reached.
    pub fn finish(self) -> Result<Ending, Error> {
        let ended = self.ciphers.is_some_and(|(segments, _)| segments.has_ended());
        match self.trailer {
            Some(trailer) if ended => Ok(Ending { trailer, length: self.length }),
            _ => Err(StreamFault::Truncated.into()),
        }
    }

    fn read_tink_header(&mut self) -> Result<(), Error> {
        if self.ciphers.is_none() && self.pieces.len() >= TINK_HEADER {
            let mut header = Vec::with_capacity(TINK_HEADER);
            self.pieces.take_into(TINK_HEADER, &mut header);
            let header = header.first_chunk().ok_or(Error::Malformed)?;
            let segments = Segments::from_header(&self.key, header).map_err(|_| Error::DecryptionFailed)?;
            self.ciphers = Some((segments, TrailerKey::derive(&self.key, header)?));
        }
        Ok(())
    }
}

/// Decrypts one segment where it lies. The segment's position goes into its nonce, so a segment that was moved, dropped
/// or made the last one does not open.
fn open(segments: &mut Segments, segment: &mut Vec<u8>, position: Position) -> Result<(), Error> {
    let length = segment.len().checked_sub(TAG).ok_or(Error::DecryptionFailed)?;
    let nonce = segments.advance(length, position).map_err(|_| Error::DecryptionFailed)?;
    let opened = segments.cipher().open_in_place(nonce, Aad::empty(), segment).is_ok();
    if !opened {
        // Whatever was written is not authentic.
        segment.zeroize();
        return Err(Error::DecryptionFailed);
    }
    segment.truncate(length);
    Ok(())
}
