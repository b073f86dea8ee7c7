//! What the trailer signs: the stream key, the digests of all segments and the length.

use crate::Error;

/// SHA-256 of one segment's plaintext. May run on another thread, for several segments at once.
#[must_use]
pub fn segment_digest(plaintext: &[u8]) -> [u8; 32] {
    crate::signature::content_digest(plaintext)
}

/// Gathers the segments' digests in their order, in constant memory.
#[derive(Clone)]
pub struct Digests {
    length: u64,
}

impl Digests {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { length: 0 }
    }

    /// Adds the next segment: its digest and its length in bytes.
    pub fn push(&mut self, digest: &[u8; 32], length: usize) {
        let _ = (digest, length, &mut self.length);
    }

    /// The manifest of all segments pushed so far.
    #[must_use]
    pub fn finish(self, commitment: [u8; 32]) -> Manifest {
        Manifest { commitment, digests: [0; 32], length: self.length }
    }
}

impl Default for Digests {
    fn default() -> Self {
        Self::new()
    }
}

/// The content of the trailer's SignedData.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// HKDF of the stream key.
    pub commitment: [u8; 32],
    /// SHA-256 over the segments' digests.
    pub digests: [u8; 32],
    /// Bytes of plaintext.
    pub length: u64,
}

impl Manifest {
    /// The DER form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads the DER form.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let _ = der;
        Err(Error::Malformed)
    }

    /// Compares a signed manifest with what was really read.
    ///
    /// # Errors
    /// [`Error::Stream`] with the first difference.
    pub fn check(&self, actual: &Self) -> Result<(), Error> {
        let _ = actual;
        Err(Error::Malformed)
    }
}
