//! documentContext: what a signature is for, from whom, about which document, and for whom (FORMATS §4).

use life_pki::{SpkiHash, Uid};

use crate::Error;

/// The 16 bytes that name a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId(pub [u8; 16]);

/// What a signature is for. A reader names the purpose it expects; no other is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A document, stored and shared.
    Document,
    /// A message from one user to others.
    Message,
    /// A sharing statement.
    Share,
    /// A detached or stand-alone signature: no recipients, never proof of a document's sender.
    Detached,
    /// A statement on an account or a log.
    Statement,
}

impl Purpose {
    /// The number in DER.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Document => 1,
            Self::Message => 2,
            Self::Share => 3,
            Self::Detached => 4,
            Self::Statement => 5,
        }
    }

    /// Finds the purpose by its number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Document),
            2 => Some(Self::Message),
            3 => Some(Self::Share),
            4 => Some(Self::Detached),
            5 => Some(Self::Statement),
            _ => None,
        }
    }
}

/// A recipient as signed: a user, and the root credential the content was encrypted to then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListedRecipient {
    /// The user.
    pub uid: Uid,
    /// SHA-256 of the root credential's SubjectPublicKeyInfo.
    pub root_key: SpkiHash,
}

/// The signed attribute documentContext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentContext {
    /// What the signature is for.
    pub purpose: Purpose,
    /// Who signs.
    pub sender: Uid,
    /// The document.
    pub document_id: DocumentId,
    /// Its version, from 1.
    pub document_version: u64,
    recipients: Vec<ListedRecipient>,
}

impl DocumentContext {
    /// Makes a context; recipients are sorted and listed once.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more recipients than the limit.
    pub fn new(
        purpose: Purpose,
        sender: Uid,
        document_id: DocumentId,
        document_version: u64,
        recipients: Vec<ListedRecipient>,
    ) -> Result<Self, Error> {
        let _ = (purpose, sender, document_id, document_version, recipients);
        Err(Error::Malformed)
    }

    /// The recipients, sorted by user and root key.
    #[must_use]
    pub fn recipients(&self) -> &[ListedRecipient] {
        &self.recipients
    }

    /// The DER form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads the DER form.
    ///
    /// # Errors
    /// [`Error::Malformed`] also for recipients that are not strictly sorted; [`Error::TooLarge`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let _ = der;
        Err(Error::Malformed)
    }
}
