//! The cipher of the segments: their nonces, their lengths and their end (Tink's streaming AEAD).

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, Nonce, UnboundKey};
use life_pki::key::KeyError;

use super::sealer::Position;
use super::{FIRST_SEGMENT, SEGMENT, StreamKey, TINK_HEADER};
use crate::{Error, StreamFault};

/// Bytes of the nonce that are the same for all segments of a stream.
const PREFIX: usize = 7;

/// The key of one stream's segments and the number of the next one.
pub(super) struct Segments {
    key: LessSafeKey,
    prefix: [u8; PREFIX],
    /// The number of the next segment; `None` after the last.
    next: Option<u32>,
}

life_sys::secret_types!(Segments);

impl Segments {
    pub(super) fn new(key: &StreamKey, salt: &[u8; 32], prefix: [u8; PREFIX]) -> Result<Self, Error> {
        let key = key.derive_segment_key(salt)?;
        // EXPOSE: the segment key goes into its cipher.
        let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| KeyError::Operation)?;
        Ok(Self { key: LessSafeKey::new(key), prefix, next: Some(0) })
    }

    /// Draws salt and prefix. Gives Tink's header as well: `0x28 | salt | prefix`.
    pub(super) fn generate(key: &StreamKey) -> Result<(Self, [u8; TINK_HEADER]), Error> {
        let mut header = [0; TINK_HEADER];
        aws_lc_rs::rand::fill(&mut header).map_err(|_| KeyError::Operation)?;
        if let Some(length) = header.first_mut() {
            *length = TINK_HEADER as u8;
        }
        Ok((Self::from_header(key, &header)?, header))
    }

    pub(super) fn from_header(key: &StreamKey, header: &[u8; TINK_HEADER]) -> Result<Self, Error> {
        let (length, rest) = header.split_first().ok_or(Error::Malformed)?;
        let (salt, prefix) = rest.split_first_chunk().ok_or(Error::Malformed)?;
        if usize::from(*length) != TINK_HEADER {
            return Err(Error::Malformed);
        }
        Self::new(key, salt, prefix.try_into().map_err(|_| Error::Malformed)?)
    }

    pub(super) fn cipher(&self) -> &LessSafeKey {
        &self.key
    }

    /// Bytes of plaintext in the next segment if it is full.
    pub(super) fn size(&self) -> usize {
        if self.next == Some(0) { FIRST_SEGMENT } else { SEGMENT }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.next.is_none()
    }

    /// The nonce of the next segment: `prefix | u32be number | last`. Nothing may follow the last one.
    ///
    /// # Errors
    /// [`Error::Stream`] for a segment of this length at this position, and after the last one; [`Error::TooLarge`]
    /// when all 2^32 segments are used up.
    pub(super) fn advance(&mut self, length: usize, position: Position) -> Result<Nonce, Error> {
        let number = self.next.ok_or(StreamFault::Ended)?;
        let fits = match position {
            Position::Inner => length == self.size(),
            // An empty last segment stands only for an empty message.
            Position::Last => length <= self.size() && (length > 0 || number == 0),
        };
        if !fits {
            return Err(StreamFault::SegmentLength.into());
        }
        let last = u8::from(position == Position::Last);
        self.next = match position {
            Position::Inner => Some(number.checked_add(1).ok_or(Error::TooLarge)?),
            Position::Last => None,
        };
        let ([p0, p1, p2, p3, p4, p5, p6], [n0, n1, n2, n3]) = (self.prefix, number.to_be_bytes());
        Ok(Nonce::assume_unique_for_key([p0, p1, p2, p3, p4, p5, p6, n0, n1, n2, n3, last]))
    }
}
