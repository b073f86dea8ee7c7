//! What stands before the stream: magic, version and the envelope with the stream key.

use crate::{DocumentId, Envelope, Error};

/// The bytes magic, version and envelope length take.
pub const PREFIX: usize = 13;

/// How long the header is (prefix and envelope), once its first 13 bytes are there; `None` before.
///
/// # Errors
/// [`Error::Stream`] for another magic or version, [`Error::TooLarge`] for an envelope beyond the limits.
pub fn header_length(start: &[u8]) -> Result<Option<usize>, Error> {
    let _ = start;
    Err(Error::Malformed)
}

/// The parsed header of a sealed stream.
#[derive(Clone, Debug)]
pub struct StreamHeader<'a> {
    envelope: Envelope<'a>,
}

impl<'a> StreamHeader<'a> {
    /// Reads exactly one header: as many bytes as [`header_length`] says.
    ///
    /// # Errors
    /// As [`header_length`] and [`Envelope::parse`]; [`Error::Stream`] when it is cut short.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let _ = bytes;
        Err(Error::Malformed)
    }

    /// The envelope with the stream key.
    #[must_use]
    pub fn envelope(&self) -> &Envelope<'a> {
        &self.envelope
    }

    /// The envelope, to add recipients and statements.
    pub fn envelope_mut(&mut self) -> &mut Envelope<'a> {
        &mut self.envelope
    }

    /// The header's bytes: prefix and envelope, DER.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        Err(Error::Malformed)
    }
}

/// The content of a stream's envelope: the key and what it is bound to.
pub struct StreamKey {
    /// The key itself.
    pub(crate) key: life_sys::secret::Key256,
    /// The document.
    pub document_id: DocumentId,
    /// Its version.
    pub document_version: u64,
}

impl StreamKey {
    /// Reads the content of the opened envelope.
    ///
    /// # Errors
    /// [`Error::Malformed`], or [`Error::Stream`] for an unknown version or suite.
    pub fn from_content(content: &[u8]) -> Result<Self, Error> {
        let _ = content;
        Err(Error::Malformed)
    }

    /// The value in the manifest that binds a signature to this key: HKDF-SHA256(key, info "commit").
    ///
    /// # Errors
    /// [`Error::Key`] when AWS-LC fails.
    pub fn derive_commitment(&self) -> Result<[u8; 32], Error> {
        let _ = &self.key;
        Err(Error::Malformed)
    }
}
