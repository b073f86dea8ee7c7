//! Sharing statements: who was added to a document after it was signed, and by whom (FORMATS §4).

use crate::{DocumentId, Error, ListedRecipient};

/// The content of a SignedData with purpose SHARE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharingStatement {
    /// The document.
    pub document_id: DocumentId,
    /// Its version.
    pub document_version: u64,
    /// SHA-256 of the original SignedData message, as it stands in the envelope or trailer.
    pub original: [u8; 32],
    added: Vec<ListedRecipient>,
}

impl SharingStatement {
    /// Makes a statement; recipients are sorted and listed once.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn new(
        document_id: DocumentId,
        document_version: u64,
        original: [u8; 32],
        added: Vec<ListedRecipient>,
    ) -> Result<Self, Error> {
        let _ = (document_id, document_version, original, added);
        Err(Error::Malformed)
    }

    /// The recipients added, sorted.
    #[must_use]
    pub fn added(&self) -> &[ListedRecipient] {
        &self.added
    }

    /// The DER form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads the DER form.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::TooLarge`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let _ = der;
        Err(Error::Malformed)
    }
}
