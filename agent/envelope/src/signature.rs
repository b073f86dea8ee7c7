//! SignedData (RFC 5652 §5): putting it together, reading it, verifying it. Verifying is pure.

use std::borrow::Cow;

use life_pki::time::Timestamp;
use life_pki::{PublicKey, SpkiHash, Uid};

use crate::{DocumentContext, Error, Purpose, SignedAttributes};

/// Puts a SignedData message together: id-data, one signer, the signer's certificate first in `certificates`.
///
/// Without `content` the signature is detached. The signature value is not checked here.
///
/// # Errors
/// [`Error::TooLarge`], or [`Error::Signature`] when the first certificate is not the one the attributes name.
pub fn assemble(
    content: Option<&[u8]>,
    attributes: &SignedAttributes,
    signature: &[u8],
    certificates: &[Vec<u8>],
) -> Result<Vec<u8>, Error> {
    let _ = (content, attributes, signature, certificates);
    Err(Error::Malformed)
}

/// SHA-256 of a content: the digest the attributes carry.
#[must_use]
pub fn content_digest(content: &[u8]) -> [u8; 32] {
    SpkiHash::of(content).0
}

/// What the signature is compared with.
#[derive(Clone, Copy, Debug)]
pub enum Signed<'a> {
    /// The content is enclosed.
    Enclosed,
    /// The content is elsewhere, and here.
    Content(&'a [u8]),
    /// The content is elsewhere; this is its SHA-256.
    Digest(&'a [u8; 32]),
}

/// A parsed SignedData message with exactly one signer and signed attributes; nothing verified.
#[derive(Clone, Debug)]
pub struct SignedData<'a> {
    content: Option<Cow<'a, [u8]>>,
    certificates: Vec<Vec<u8>>,
}

impl<'a> SignedData<'a> {
    /// Reads a SignedData message, DER or BER.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`], [`Error::Refused`], or [`Error::Signature`] for a number of signers
    /// other than one and for missing signed attributes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let _ = bytes;
        Err(Error::Malformed)
    }

    /// Reads a message out of an opened envelope: a signed document only if it is SignedData with a documentContext.
    /// Everything else is opaque bytes that merely look like it, and unsigned (FORMATS §4): then `None`.
    #[must_use]
    pub fn detect(content: &'a [u8]) -> Option<Self> {
        let _ = content;
        None
    }

    /// The enclosed content; unverified.
    #[must_use]
    pub fn content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// The enclosed content by value; unverified.
    #[must_use]
    pub fn into_content(self) -> Option<Vec<u8>> {
        self.content.map(Cow::into_owned)
    }

    /// The enclosed certificates, DER; unverified.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The signer's certificate, DER, if it is enclosed; its chain is not verified here.
    #[must_use]
    pub fn signer_certificate(&self) -> Option<&[u8]> {
        None
    }

    /// SHA-256 of the signature value: what receipts are about.
    #[must_use]
    pub fn signature_digest(&self) -> [u8; 32] {
        [0; 32]
    }

    /// Verifies a signature of ours: all mandatory attributes, digest, certificate binding and signature value.
    ///
    /// The certificate's chain, its owner, the account log and the time are the caller's to judge; with
    /// [`Verified::check`] for what the context says.
    ///
    /// # Errors
    /// [`Error::Signature`].
    pub fn verify(&self, signed: Signed<'_>) -> Result<Verified, Error> {
        let _ = signed;
        Err(Error::Malformed)
    }

    /// Verifies digest and signature value only, whatever the attributes say: for signatures of other software.
    ///
    /// # Errors
    /// [`Error::Signature`].
    pub fn verify_cryptographically(&self, signed: Signed<'_>) -> Result<(), Error> {
        let _ = signed;
        Err(Error::Malformed)
    }
}

/// Proof that a signature verified, and what it says. Only [`SignedData::verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified {
    attributes: SignedAttributes,
    certificate: Vec<u8>,
    signer_key: PublicKey,
    signature_digest: [u8; 32],
}

impl Verified {
    /// The documentContext.
    #[must_use]
    pub fn context(&self) -> &DocumentContext {
        self.attributes.context()
    }

    /// The time the signer claims.
    #[must_use]
    pub fn signing_time(&self) -> Timestamp {
        self.attributes.signing_time()
    }

    /// The signer's certificate, DER.
    #[must_use]
    pub fn signer_certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The signer's public key.
    #[must_use]
    pub fn signer_key(&self) -> &PublicKey {
        &self.signer_key
    }

    /// SHA-256 of the signature value: what receipts are about.
    #[must_use]
    pub fn signature_digest(&self) -> &[u8; 32] {
        &self.signature_digest
    }

    /// The reader's checks (FORMATS §4): the purpose asked for, the sender is the certificate's owner, and the reader
    /// is listed by one of its (user, root key) pairs. An empty `own` skips the last, for a detached signature.
    ///
    /// # Errors
    /// [`Error::Signature`] with the first check that failed.
    pub fn check(
        &self,
        purpose: Purpose,
        certificate_owner: Uid,
        own: &[crate::ListedRecipient],
    ) -> Result<(), Error> {
        let _ = (purpose, certificate_owner, own);
        Err(Error::Malformed)
    }
}
