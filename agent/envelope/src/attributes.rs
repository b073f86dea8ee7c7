//! The signed attributes: what a signature key really signs (RFC 5652 §5.3, FORMATS §4).

use life_pki::time::Timestamp;

use crate::{DocumentContext, Error, SignatureAlgorithm};

/// A complete and well-formed set of the six mandatory signed attributes, and no other.
///
/// Two phases: the broker builds it, the vault parses the DER form, judges it and signs exactly these bytes
/// ([`SignedAttributes::to_der`]), and [`crate::signature::assemble`] puts the message together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAttributes {
    content_digest: [u8; 32],
    signing_time: Timestamp,
    certificate_hash: [u8; 32],
    algorithm: SignatureAlgorithm,
    context: DocumentContext,
}

impl SignedAttributes {
    /// Builds the attributes for a content's SHA-256 and a signer's certificate (DER).
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Key`] for a certificate that cannot be used.
    pub fn build(
        content_digest: [u8; 32],
        signing_time: Timestamp,
        certificate: &[u8],
        context: DocumentContext,
    ) -> Result<Self, Error> {
        let _ = (content_digest, signing_time, certificate, context);
        Err(Error::Malformed)
    }

    /// Reads the DER form (a SET OF Attribute): all six attributes, each once, and nothing else.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Signature`].
    pub fn parse(der: &[u8]) -> Result<Self, Error> {
        let _ = der;
        Err(Error::Malformed)
    }

    /// The DER form: the message to sign.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        Vec::new()
    }

    /// SHA-256 of the content.
    #[must_use]
    pub fn content_digest(&self) -> &[u8; 32] {
        &self.content_digest
    }

    /// The time the signer claims.
    #[must_use]
    pub fn signing_time(&self) -> Timestamp {
        self.signing_time
    }

    /// SHA-256 of the signer's certificate (signingCertificateV2).
    #[must_use]
    pub fn certificate_hash(&self) -> &[u8; 32] {
        &self.certificate_hash
    }

    /// The algorithm the signature must have (cmsAlgorithmProtection).
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The documentContext.
    #[must_use]
    pub fn context(&self) -> &DocumentContext {
        &self.context
    }
}
