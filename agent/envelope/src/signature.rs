//! SignedData (RFC 5652 §5): putting it together, reading it, verifying it. Verifying is pure.

use std::borrow::Cow;

use life_pki::time::Timestamp;
use life_pki::{PublicKey, SpkiHash, Uid};

use crate::attributes::AttributeSet;
use crate::certificate::CertificateFields;
use crate::{
    DocumentContext, Error, Form, Purpose, RecipientId, SignatureAlgorithm, SignatureFault, SignedAttributes,
};

mod codec;
mod debug;

pub use codec::assemble;

/// SHA-256 of a content: the digest the attributes carry.
#[must_use]
pub fn content_digest(content: &[u8]) -> [u8; 32] {
    SpkiHash::of(content).0
}

/// What the signature is compared with.
#[derive(Clone, Copy)]
pub enum Signed<'a> {
    /// The content is enclosed.
    Enclosed,
    /// The content is elsewhere, and here.
    Content(&'a [u8]),
    /// The content is elsewhere; this is its SHA-256.
    Digest(&'a [u8; 32]),
}

/// A parsed SignedData message with exactly one signer and signed attributes; nothing verified.
#[derive(Clone)]
pub struct SignedData<'a> {
    content: Option<Cow<'a, [u8]>>,
    certificates: Vec<Vec<u8>>,
    signer: Signer,
}

/// The one SignerInfo.
#[derive(Clone)]
struct Signer {
    /// Certificates are named the same two ways as recipients.
    id: RecipientId,
    algorithm: SignatureAlgorithm,
    attributes: AttributeSet,
    signature: Vec<u8>,
}

impl<'a> SignedData<'a> {
    /// Reads a SignedData message, DER or BER.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`], [`Error::Refused`], or [`Error::Signature`] for a number of signers
    /// other than one, missing signed attributes and algorithms outside the suite.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        codec::parse(bytes)
    }

    /// Reads a message out of an opened envelope: a signed document only if it is SignedData whose signer signed a
    /// documentContext. Everything else is opaque bytes that merely look like it, and unsigned (FORMATS §4): `None`.
    ///
    /// # Errors
    /// As [`SignedData::parse`], for a message that has a documentContext and breaks another rule.
    pub fn detect(content: &'a [u8]) -> Result<Option<Self>, Error> {
        codec::detect(content)
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
        self.certificates.iter().map(Vec::as_slice).find(|der| match CertificateFields::read(der) {
            Ok(fields) => match &self.signer.id {
                RecipientId::IssuerSerial { issuer, serial } => {
                    fields.issuer == issuer && fields.serial == serial
                }
                RecipientId::KeyId(id) => {
                    fields.key_id == Some(id) || SpkiHash::of(fields.spki).0.as_slice() == id
                }
            },
            Err(_) => false,
        })
    }

    /// SHA-256 of the signature value: what receipts are about.
    #[must_use]
    pub fn signature_digest(&self) -> [u8; 32] {
        content_digest(&self.signer.signature)
    }

    /// The six attributes as claimed, if they are complete; unverified.
    ///
    /// # Errors
    /// [`Error::Signature`] or [`Error::Malformed`].
    pub fn claimed_attributes(&self) -> Result<SignedAttributes, Error> {
        SignedAttributes::interpret(&self.signer.attributes)
    }

    /// Verifies a signature of ours: all mandatory attributes, digest, certificate binding and signature value.
    ///
    /// The certificate's chain, its owner, the account log and the time are the caller's to judge, and with
    /// [`Verified::check`] what the context says.
    ///
    /// # Errors
    /// [`Error::Signature`] with the first fault found; [`Error::Malformed`], [`Error::Key`].
    pub fn verify(&self, signed: Signed<'_>) -> Result<Verified, Error> {
        let attributes = self.claimed_attributes()?;
        if attributes.algorithm() != self.signer.algorithm {
            return Err(SignatureFault::AlgorithmProtection.into());
        }
        let certificate = self.signer_certificate().ok_or(SignatureFault::CertificateMissing)?;
        if content_digest(certificate) != *attributes.certificate_hash() {
            return Err(SignatureFault::CertificateMismatch.into());
        }
        let signer_key = self.verify_with(certificate, signed)?;
        Ok(Verified {
            attributes,
            certificate: certificate.to_vec(),
            signer_key,
            signature_digest: self.signature_digest(),
        })
    }

    /// Verifies digest and signature value only, whatever the other attributes say: for signatures of other software.
    /// Gives the signer's certificate.
    ///
    /// # Errors
    /// As [`SignedData::verify`].
    pub fn verify_cryptographically(&self, signed: Signed<'_>) -> Result<&[u8], Error> {
        let certificate = self.signer_certificate().ok_or(SignatureFault::CertificateMissing)?;
        self.verify_with(certificate, signed)?;
        Ok(certificate)
    }

    fn verify_with(&self, certificate: &[u8], signed: Signed<'_>) -> Result<PublicKey, Error> {
        self.signer.attributes.check_content_type()?;
        if self.actual_digest(signed)? != self.signer.attributes.content_digest()? {
            return Err(SignatureFault::DigestMismatch.into());
        }
        let key = PublicKey::from_spki(CertificateFields::read(certificate)?.spki)?;
        if SignatureAlgorithm::of(&key) != self.signer.algorithm {
            return Err(SignatureFault::Algorithm.into());
        }
        key.verify(self.signer.attributes.to_be_signed(), &self.signer.signature)
            .map_err(|_| SignatureFault::Invalid)?;
        Ok(key)
    }

    fn actual_digest(&self, signed: Signed<'_>) -> Result<[u8; 32], Error> {
        match (signed, self.content()) {
            (Signed::Enclosed, Some(content)) => Ok(content_digest(content)),
            (Signed::Enclosed, None) => Err(SignatureFault::ContentMissing.into()),
            (Signed::Content(content), None) => Ok(content_digest(content)),
            (Signed::Digest(digest), None) => Ok(*digest),
            (_, Some(_)) => Err(SignatureFault::ContentPresent.into()),
        }
    }
}

/// Proof that a signature verified, and what it says. Only [`SignedData::verify`] makes one.
#[derive(Clone)]
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

    /// SHA-256 of the content.
    #[must_use]
    pub fn content_digest(&self) -> &[u8; 32] {
        self.attributes.content_digest()
    }

    /// Three of the reader's checks (FORMATS §4): the purpose is the one asked for, the form is that of the place the
    /// signature stands in, and the sender is the certificate's owner. The fourth, that the reader is listed, is
    /// [`crate::accounting::Accounting::lists`].
    ///
    /// # Errors
    /// [`Error::Signature`] with the first check that failed.
    pub fn check(&self, purpose: Purpose, form: Form, certificate_owner: Uid) -> Result<(), Error> {
        if self.context().purpose() != purpose {
            return Err(SignatureFault::PurposeMismatch.into());
        }
        if self.context().form() != form {
            return Err(SignatureFault::FormMismatch.into());
        }
        if self.context().sender() != certificate_owner {
            return Err(SignatureFault::SenderMismatch.into());
        }
        Ok(())
    }
}
