//! Sharing statements: who was added to a document after it was signed, and by whom (FORMATS §4).

use crate::asn1::{self, Parser, SEQUENCE};
use crate::context::{VERSION, normalise, read_recipients, read_version, write_recipients};
use crate::{DocumentId, Error, ListedRecipient, limits};

/// The content of a SignedData with purpose SHARE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharingStatement {
    document_id: DocumentId,
    document_version: u64,
    original: [u8; 32],
    added: Vec<ListedRecipient>,
}

impl SharingStatement {
    /// Makes a statement; recipients are sorted and listed once.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more recipients than the limit, [`Error::Malformed`] for none.
    pub fn new(
        document_id: DocumentId,
        document_version: u64,
        original: [u8; 32],
        added: Vec<ListedRecipient>,
    ) -> Result<Self, Error> {
        Self { document_id, document_version, original, added: normalise(added)? }.checked()
    }

    fn checked(self) -> Result<Self, Error> {
        if self.added.is_empty() { Err(Error::Malformed) } else { Ok(self) }
    }

    /// The document.
    #[must_use]
    pub fn document_id(&self) -> DocumentId {
        self.document_id
    }

    /// Its version.
    #[must_use]
    pub fn document_version(&self) -> u64 {
        self.document_version
    }

    /// SHA-256 of the original SignedData message, as it stands in the envelope or trailer.
    #[must_use]
    pub fn original(&self) -> &[u8; 32] {
        &self.original
    }

    /// The recipients added, sorted.
    #[must_use]
    pub fn added(&self) -> &[ListedRecipient] {
        &self.added
    }

    /// The DER form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        asn1::sequence(&[
            &asn1::unsigned(VERSION),
            &asn1::octets(&self.document_id.0),
            &asn1::unsigned(self.document_version),
            &asn1::octets(&self.original),
            &write_recipients(&self.added),
        ])
    }

    /// Reads the DER form.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`], or [`Error::Refused`] for another version.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        asn1::check_size(der, limits::MAX_STATEMENT)?;
        let mut parser = Parser::only(der, SEQUENCE)?;
        read_version(&mut parser)?;
        let document_id = DocumentId(parser.octet_array()?);
        let document_version = parser.unsigned()?;
        let original = parser.octet_array()?;
        let added = read_recipients(parser.inside(SEQUENCE)?)?;
        parser.finish()?;
        Self { document_id, document_version, original, added }.checked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use life_pki::{SpkiHash, Uid};

    #[test]
    fn round_trips() {
        let added = vec![ListedRecipient { uid: Uid::from_random([1; 16]), root_key: SpkiHash([2; 32]) }];
        let made = SharingStatement::new(DocumentId([3; 16]), u64::MAX, [4; 32], added).unwrap();
        assert_eq!(SharingStatement::from_der(&made.to_der()), Ok(made));
        assert_eq!(SharingStatement::new(DocumentId([3; 16]), 1, [4; 32], vec![]), Err(Error::Malformed));
    }
}
