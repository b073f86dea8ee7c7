//! The envelope: CMS AuthEnvelopedData (RFC 5083), AES-256-GCM (RFC 5084), id-data inside (FORMATS §3).

use std::borrow::Cow;

use life_pki::PublicKey;

use crate::{ContentKey, Error, OwnKey, RecipientInfo};

/// Encrypts content for several root credentials. Returns the envelope (DER) and its key, which sharing needs.
///
/// # Errors
/// [`Error::TooLarge`] for more content or recipients than the limits allow, [`Error::NotARecipient`] for none,
/// [`Error::Key`] when AWS-LC fails.
pub fn seal(content: &[u8], recipients: &[PublicKey]) -> Result<(Vec<u8>, ContentKey), Error> {
    let _ = (content, recipients);
    Err(Error::Malformed)
}

/// A parsed envelope. Borrows the encrypted content from the message where that was DER.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    recipients: Vec<RecipientInfo>,
    statements: Vec<Vec<u8>>,
    ciphertext: Cow<'a, [u8]>,
}

impl<'a> Envelope<'a> {
    /// Reads an envelope, DER or BER, and checks its form; nothing is decrypted.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`] or [`Error::Refused`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let _ = bytes;
        Err(Error::Malformed)
    }

    /// Frees the envelope from the message it was read from.
    #[must_use]
    pub fn into_owned(self) -> Envelope<'static> {
        Envelope {
            recipients: self.recipients,
            statements: self.statements,
            ciphertext: Cow::Owned(self.ciphertext.into_owned()),
        }
    }

    /// All recipients, in the order of the message.
    #[must_use]
    pub fn recipients(&self) -> &[RecipientInfo] {
        &self.recipients
    }

    /// The first recipient that is one of these keys.
    #[must_use]
    pub fn find(&self, own: &[OwnKey]) -> Option<&RecipientInfo> {
        self.recipients.iter().find(|info| own.iter().any(|key| info.is_for(key)))
    }

    /// Decrypts the content.
    ///
    /// # Errors
    /// [`Error::DecryptionFailed`], whatever the cause.
    pub fn open(&self, key: &ContentKey) -> Result<Vec<u8>, Error> {
        let _ = (key, &self.ciphertext);
        Err(Error::DecryptionFailed)
    }

    /// Checks that a key opens the content, without giving it out: before recipients are added.
    ///
    /// # Errors
    /// [`Error::DecryptionFailed`], whatever the cause.
    pub fn check_key(&self, key: &ContentKey) -> Result<(), Error> {
        self.open(key).map(drop)
    }

    /// Adds recipients by wrapping the content key again; the content stays as it is. Keys that are recipients
    /// already are passed over. The caller has opened the content with this key.
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Key`].
    pub fn add_recipients(&mut self, key: &ContentKey, recipients: &[PublicKey]) -> Result<(), Error> {
        let _ = (key, recipients);
        Err(Error::Malformed)
    }

    /// The sharing statements: SignedData messages, DER, unverified and in no order that means anything.
    #[must_use]
    pub fn statements(&self) -> &[Vec<u8>] {
        &self.statements
    }

    /// Adds a sharing statement, a SignedData message.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than the limit, [`Error::Malformed`] for what is no SignedData.
    pub fn add_statement(&mut self, signed_data: &[u8]) -> Result<(), Error> {
        let _ = signed_data;
        Err(Error::Malformed)
    }

    /// The DER form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        Vec::new()
    }
}
