//! RecipientInfo: one content key, wrapped to one root credential (RFC 5652 §6.2).

use life_pki::{PrivateKey, PublicKey, SpkiHash};

use crate::{ContentKey, Error};

/// How a message names a recipient's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RecipientId {
    /// By subjectKeyIdentifier: what we write, 32 bytes, SHA-256 of the SubjectPublicKeyInfo.
    KeyId(Vec<u8>),
    /// By issuer and serial number of a certificate, as OpenSSL writes by default.
    IssuerSerial {
        /// The issuer's Name, DER.
        issuer: Vec<u8>,
        /// The serial number: the contents of the INTEGER.
        serial: Vec<u8>,
    },
}

/// What finds one's own recipient: the key's hash and, for messages of other software, its certificate's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub hash: SpkiHash,
    /// Issuer (Name, DER) and serial number (contents of the INTEGER) of its certificate.
    pub issuer_serial: Option<(Vec<u8>, Vec<u8>)>,
}

/// One recipient of an envelope, RSA or P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientInfo {
    id: RecipientId,
}

impl RecipientInfo {
    /// Wraps a content key to a root credential, named by its SHA-256.
    ///
    /// # Errors
    /// [`Error::Key`] when AWS-LC fails.
    pub fn wrap(key: &ContentKey, recipient: &PublicKey) -> Result<Self, Error> {
        let _ = (key, recipient);
        Err(Error::Malformed)
    }

    /// Reads one RecipientInfo, DER or BER. A key agreement must have exactly one recipient here.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`] or [`Error::Refused`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let _ = der;
        Err(Error::Malformed)
    }

    /// The DER form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Whom it is for.
    #[must_use]
    pub fn id(&self) -> &RecipientId {
        &self.id
    }

    /// Whether it names this key.
    #[must_use]
    pub fn is_for(&self, own: &OwnKey) -> bool {
        let _ = own;
        false
    }
}

/// Unwraps a content key: one attempt, and on any failure a random key instead (FORMATS §3 rule 4).
///
/// # Errors
/// [`Error::Key`] when the random number generator fails; never because of the RecipientInfo.
pub fn unwrap(info: &RecipientInfo, key: &PrivateKey) -> Result<ContentKey, Error> {
    let _ = (info, key);
    ContentKey::generate()
}
