//! What the trailer signs: the stream key, the digests of all segments and the length.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use crate::asn1::{self, Parser, SEQUENCE};
use crate::context::{VERSION, read_version};
use crate::{Error, StreamFault};

/// SHA-256 of one segment's plaintext. May run on another thread, for several segments at once.
#[must_use]
pub fn segment_digest(plaintext: &[u8]) -> [u8; 32] {
    crate::signature::content_digest(plaintext)
}

/// Gathers the segments' digests in their order, in constant memory.
#[derive(Clone)]
pub struct Digests {
    list: Context,
    length: u64,
}

impl Digests {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { list: Context::new(&SHA256), length: 0 }
    }

    /// Adds the next segment: its digest and its length in bytes.
    pub fn push(&mut self, digest: &[u8; 32], length: usize) {
        self.list.update(digest);
        self.length = self.length.saturating_add(length as u64);
    }

    /// The manifest of all segments pushed so far.
    #[must_use]
    pub fn finish(self, commitment: [u8; 32]) -> Manifest {
        let mut digests = [0; 32];
        digests.copy_from_slice(self.list.finish().as_ref());
        Manifest { commitment, digests, length: self.length }
    }
}

impl Default for Digests {
    fn default() -> Self {
        Self::new()
    }
}

/// The content of the trailer's SignedData.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    /// HKDF of the stream key.
    pub commitment: [u8; 32],
    /// SHA-256 over the segments' digests.
    pub digests: [u8; 32],
    /// Bytes of plaintext.
    pub length: u64,
}

/// The digests would let anyone confirm a guess at the content, so they are not printed.
impl fmt::Debug for Manifest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Manifest").field("length", &self.length).finish_non_exhaustive()
    }
}

impl Manifest {
    /// The DER form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        asn1::sequence(&[
            &asn1::unsigned(VERSION),
            &asn1::octets(&self.commitment),
            &asn1::octets(&self.digests),
            &asn1::unsigned(self.length),
        ])
    }

    /// Reads the DER form.
    ///
    /// # Errors
    /// [`Error::Malformed`], or [`Error::Refused`] for another version.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let mut parser = Parser::only(der, SEQUENCE)?;
        read_version(&mut parser)?;
        let commitment = parser.octet_array()?;
        let digests = parser.octet_array()?;
        let length = parser.unsigned()?;
        parser.finish()?;
        Ok(Self { commitment, digests, length })
    }

    /// Compares a signed manifest with what was really read.
    ///
    /// # Errors
    /// [`Error::Stream`] with the first difference.
    pub fn check(&self, actual: &Self) -> Result<(), Error> {
        if self.commitment != actual.commitment {
            return Err(StreamFault::CommitmentMismatch.into());
        }
        if self.length != actual.length {
            return Err(StreamFault::LengthMismatch.into());
        }
        if self.digests != actual.digests {
            return Err(StreamFault::DigestMismatch.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_compares() {
        let mut digests = Digests::new();
        digests.push(&segment_digest(b"one"), 3);
        let manifest = digests.clone().finish([1; 32]);
        assert_eq!(Manifest::from_der(&manifest.to_der()).as_ref(), Ok(&manifest));
        assert_eq!(manifest.check(&manifest), Ok(()));
        let other = digests.clone().finish([2; 32]);
        assert_eq!(manifest.check(&other), Err(StreamFault::CommitmentMismatch.into()));
        digests.push(&segment_digest(b""), 0);
        let other = digests.clone().finish([1; 32]);
        assert_eq!(manifest.check(&other), Err(StreamFault::DigestMismatch.into()));
        digests.push(&segment_digest(b"x"), 1);
        assert_eq!(manifest.check(&digests.finish([1; 32])), Err(StreamFault::LengthMismatch.into()));
    }
}
