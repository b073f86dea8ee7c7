//! X.509 certificates (RFC 5280), read strictly.

use aws_lc_rs::digest::{SHA256, digest};
use der::Encode;
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use crate::asn1::decode_canonical;
use crate::key::{KeyError, PublicKey};
use crate::kind::KeySlot;
use crate::profile::{self, Identity, ProfileError};
use crate::time::Timestamp;
use crate::uid::Uid;

/// The most bytes a certificate may have. Ours have about 1,500.
pub const MAX_CERTIFICATE_SIZE: usize = 16 * 1024;

/// Why bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not the DER encoding of a certificate.
    #[error("the certificate is not well-formed")]
    Malformed,
    /// Longer than [`MAX_CERTIFICATE_SIZE`].
    #[error("the certificate is too long")]
    TooLong,
    /// Its key is outside the suite.
    #[error("the certificate's key is not of the suite: {0}")]
    Key(KeyError),
}

impl From<der::Error> for CertificateError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// A certificate that was read, and nothing more: [`crate::chain::verify`] decides whether to believe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    public_key: PublicKey,
    serial: Vec<u8>,
    issuer_der: Vec<u8>,
    subject_der: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    identity: Result<Identity, ProfileError>,
    tbs: TbsCertificate,
}

impl Certificate {
    /// Reads a DER certificate of any profile whose key is of the suite (FORMATS §2).
    ///
    /// # Errors
    /// [`CertificateError`]; bytes that are not the canonical encoding of what they say are malformed.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE_SIZE {
            return Err(CertificateError::TooLong);
        }
        let certificate: x509_cert::Certificate = decode_canonical(der)?;
        let tbs = certificate.tbs_certificate();
        let spki = tbs.subject_public_key_info().to_der()?;
        let public_key = PublicKey::from_spki(&spki).map_err(CertificateError::Key)?;
        let validity = tbs.validity();
        let time = |time: x509_cert::time::Time| {
            Timestamp::from_duration(time.to_unix_duration()).map_err(|_| CertificateError::Malformed)
        };
        Ok(Self {
            der: der.to_vec(),
            serial: tbs.serial_number().as_bytes().to_vec(),
            issuer_der: tbs.issuer().to_der()?,
            subject_der: tbs.subject().to_der()?,
            not_before: time(validity.not_before)?,
            not_after: time(validity.not_after)?,
            identity: profile::identify(tbs, &public_key),
            tbs: tbs.clone(),
            public_key,
        })
    }

    /// The DER encoding.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The subject's key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Whose certificate it is by profile, and for what; or why it follows none of our profiles.
    ///
    /// # Errors
    /// [`ProfileError`] says what does not fit.
    pub fn identity(&self) -> Result<Identity, ProfileError> {
        self.identity
    }

    /// The user, if the certificate follows a profile.
    #[must_use]
    pub fn uid(&self) -> Option<Uid> {
        self.identity.ok().map(|identity| identity.uid)
    }

    /// The slot, if the certificate follows a profile.
    #[must_use]
    pub fn slot(&self) -> Option<KeySlot> {
        self.identity.ok().map(|identity| identity.slot)
    }

    /// The contents of the INTEGER serialNumber.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The issuer, a DER Name.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer_der
    }

    /// The subject, a DER Name.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.subject_der
    }

    /// The first second of its validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last second of its validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// SHA-256 of the DER encoding.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.der).as_ref());
        hash
    }

    /// Whether it may issue certificates: cA is set, and keyUsage has keyCertSign.
    #[must_use]
    pub fn is_authority(&self) -> bool {
        let authority = profile::optional::<BasicConstraints>(self.extensions())
            .is_ok_and(|constraints| constraints.is_some_and(|constraints| constraints.ca));
        let signs = profile::optional::<KeyUsage>(self.extensions())
            .is_ok_and(|usage| usage.is_some_and(|usage| usage.key_cert_sign()));
        authority && signs
    }

    pub(crate) fn tbs(&self) -> &TbsCertificate {
        &self.tbs
    }

    fn extensions(&self) -> &[Extension] {
        self.tbs.extensions().map_or(&[], Vec::as_slice)
    }
}
