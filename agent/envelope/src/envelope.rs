//! The envelope: CMS AuthEnvelopedData (RFC 5083), AES-256-GCM (RFC 5084), id-data inside (FORMATS §3).

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use life_pki::PublicKey;
use life_pki::key::KeyError;
use zeroize::Zeroize;

use crate::algorithm::{NONCE, TAG};
use crate::{ContentKey, Error, OwnKey, RecipientInfo, SignedData, asn1, limits};

mod codec;

/// Encrypts content for several root credentials. Returns the envelope (DER) and its key, which sharing needs.
///
/// # Errors
/// [`Error::TooLarge`] for more content or recipients than the limits allow, [`Error::NotARecipient`] for none,
/// [`Error::Key`] when AWS-LC fails.
pub fn seal(content: &[u8], recipients: &[PublicKey]) -> Result<(Vec<u8>, ContentKey), Error> {
    asn1::check_size(content, limits::MAX_CONTENT)?;
    let key = ContentKey::generate()?;
    let mut envelope = Envelope {
        recipients: Vec::new(),
        raw_recipients: Vec::new(),
        nonce: [0; NONCE],
        ciphertext: Cow::Borrowed(&[]),
        tag: [0; TAG],
        statements: Vec::new(),
        receipts: Vec::new(),
        other_attributes: Vec::new(),
    };
    aws_lc_rs::rand::fill(&mut envelope.nonce).map_err(|_| KeyError::Operation)?;
    envelope.add_recipients(&key, recipients)?;
    if envelope.recipients.is_empty() {
        return Err(Error::NotARecipient);
    }
    // The content is copied once, into its place in the message, and encrypted there.
    let (mut out, tail) = codec::frame(&envelope, content.len());
    let start = out.len();
    out.extend_from_slice(content);
    let place = out.get_mut(start..).ok_or(Error::Malformed)?;
    let nonce = Nonce::assume_unique_for_key(envelope.nonce);
    let tag = cipher(&key)?
        .seal_in_place_separate_tag(nonce, Aad::empty(), place)
        .map_err(|_| KeyError::Operation)?;
    out.extend_from_slice(&asn1::octets(tag.as_ref()));
    out.extend_from_slice(&tail);
    Ok((out, key))
}

fn cipher(key: &ContentKey) -> Result<LessSafeKey, Error> {
    // EXPOSE: the content key goes into its cipher.
    let key = UnboundKey::new(&AES_256_GCM, key.expose()).map_err(|_| KeyError::Operation)?;
    Ok(LessSafeKey::new(key))
}

/// A parsed envelope. Borrows the encrypted content from the message where that was DER.
#[derive(Clone)]
pub struct Envelope<'a> {
    recipients: Vec<RecipientInfo>,
    /// The RecipientInfos as they stand; one may hold several recipients.
    raw_recipients: Vec<Vec<u8>>,
    nonce: [u8; NONCE],
    ciphertext: Cow<'a, [u8]>,
    tag: [u8; TAG],
    statements: Vec<Vec<u8>>,
    /// Receipts over the statements' signatures.
    receipts: Vec<Vec<u8>>,
    /// Unauthenticated attributes that are not ours, as they stand.
    other_attributes: Vec<Vec<u8>>,
}

impl fmt::Debug for Envelope<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Envelope")
            .field("recipients", &self.recipients.len())
            .field("content_length", &self.ciphertext.len())
            .field("statements", &self.statements.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Envelope<'a> {
    /// Reads an envelope, DER or BER, and checks its form; nothing is decrypted.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`] or [`Error::Refused`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        codec::parse(bytes)
    }

    /// Frees the envelope from the message it was read from.
    #[must_use]
    pub fn into_owned(self) -> Envelope<'static> {
        Envelope {
            recipients: self.recipients,
            raw_recipients: self.raw_recipients,
            nonce: self.nonce,
            ciphertext: Cow::Owned(self.ciphertext.into_owned()),
            tag: self.tag,
            statements: self.statements,
            receipts: self.receipts,
            other_attributes: self.other_attributes,
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

    /// The length of the content in bytes.
    #[must_use]
    pub fn content_length(&self) -> usize {
        self.ciphertext.len()
    }

    /// Whether both hold the same encrypted content: then they differ in recipients, statements and receipts at most.
    #[must_use]
    pub fn has_content_of(&self, other: &Envelope<'_>) -> bool {
        (self.nonce, self.tag) == (other.nonce, other.tag) && self.ciphertext == other.ciphertext
    }

    /// Decrypts the content.
    ///
    /// # Errors
    /// [`Error::DecryptionFailed`], whatever the cause.
    pub fn open(&self, key: &ContentKey) -> Result<Vec<u8>, Error> {
        let mut content = vec![0; self.ciphertext.len()];
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let opened =
            cipher(key)?.open_separate_gather(nonce, Aad::empty(), &self.ciphertext, &self.tag, &mut content);
        if opened.is_err() {
            // Whatever was written is not authentic.
            content.zeroize();
            return Err(Error::DecryptionFailed);
        }
        Ok(content)
    }

    /// Checks that a key opens the content, without giving it out: before recipients are added.
    ///
    /// # Errors
    /// [`Error::DecryptionFailed`], whatever the cause.
    pub fn check_key(&self, key: &ContentKey) -> Result<(), Error> {
        self.open(key).map(|mut content| content.zeroize())
    }

    /// Adds recipients by wrapping the content key again; the content stays as it is. Keys that are recipients
    /// already are passed over. The caller has opened the content with this key, or called [`Envelope::check_key`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] or [`Error::Key`]; then none was added.
    pub fn add_recipients(&mut self, key: &ContentKey, recipients: &[PublicKey]) -> Result<(), Error> {
        let mut added: Vec<RecipientInfo> = Vec::new();
        for recipient in recipients {
            let own = OwnKey { hash: recipient.hash(), issuer_serial: None };
            if !self.recipients.iter().chain(&added).any(|info| info.is_for(&own)) {
                if self.recipients.len() + added.len() >= limits::MAX_RECIPIENTS {
                    return Err(Error::TooLarge);
                }
                added.push(RecipientInfo::wrap(key, recipient)?);
            }
        }
        self.raw_recipients.extend(added.iter().map(RecipientInfo::to_der));
        self.recipients.extend(added);
        Ok(())
    }

    /// An envelope of these parts, for vectors that nobody here made.
    #[cfg(test)]
    pub(crate) fn of_parts(nonce: [u8; NONCE], ciphertext: &'a [u8], tag: [u8; TAG]) -> Self {
        let (recipients, raw_recipients, statements, receipts, other_attributes) = Default::default();
        let ciphertext = Cow::Borrowed(ciphertext);
        Self { recipients, raw_recipients, nonce, ciphertext, tag, statements, receipts, other_attributes }
    }

    /// Nonce, encrypted content and tag, for a second implementation.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&[u8; NONCE], &[u8], &[u8; TAG]) {
        (&self.nonce, &self.ciphertext, &self.tag)
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
        let der = crate::ber::to_der(signed_data, limits::MAX_STATEMENT)?;
        SignedData::parse(&der)?;
        let present: usize = self.statements.iter().map(Vec::len).sum();
        if self.statements.len() >= limits::MAX_STATEMENTS
            || present + der.len() > limits::MAX_STATEMENTS_SIZE
        {
            return Err(Error::TooLarge);
        }
        self.statements.push(der.into_owned());
        Ok(())
    }

    /// The platform's receipts over the signatures of sharing statements, DER: unverified, in no order that means
    /// anything; each says by itself which signature it is about.
    #[must_use]
    pub fn statement_receipts(&self) -> &[Vec<u8>] {
        &self.receipts
    }

    /// Adds a receipt over the signature of a sharing statement.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for more than the limit.
    pub fn add_statement_receipt(&mut self, receipt: &[u8]) -> Result<(), Error> {
        if self.receipts.len() >= limits::MAX_STATEMENTS || receipt.len() > limits::MAX_STATEMENT_RECEIPT {
            return Err(Error::TooLarge);
        }
        self.receipts.push(receipt.to_vec());
        Ok(())
    }

    /// The DER form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let (mut out, tail) = codec::frame(self, self.ciphertext.len());
        out.extend_from_slice(&self.ciphertext);
        out.extend_from_slice(&asn1::octets(&self.tag));
        out.extend_from_slice(&tail);
        out
    }
}
