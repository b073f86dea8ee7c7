//! What a machine must know of a platform before the first contact: its two roots.

use aws_lc_rs::digest::{SHA256, digest};
use der::asn1::OctetString;
use der::{Encode, Sequence};

use crate::asn1::decode_canonical;
use crate::certificate::Certificate;

const VERSION: u8 = 1;

/// The roots of a platform: one for its servers and receipts, one for its users (FORMATS §7).
///
/// A new machine fetches the bundle from anywhere and compares [`TrustBundle::fingerprint`] with what its user was
/// told (`--ca-fingerprint`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustBundle {
    /// The root above the platform's TLS and receipt certificates.
    pub server_root: Certificate,
    /// The root above all users' certificates.
    pub user_root: Certificate,
}

/// The bytes are no trust bundle, or its certificates cannot be roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Not the one DER encoding of a bundle, or of an unknown version.
    #[error("the trust bundle is not well-formed")]
    Malformed,
    /// A certificate in it cannot issue, or both roots have the same key.
    #[error("the trust bundle does not hold two separate roots")]
    NotRoots,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Wire {
    version: u8,
    server_root: OctetString,
    user_root: OctetString,
}

impl TrustBundle {
    /// Bundles two root certificates.
    ///
    /// # Errors
    /// [`TrustError::NotRoots`] when one cannot issue certificates or both have the same key.
    pub fn new(server_root: Certificate, user_root: Certificate) -> Result<Self, TrustError> {
        let separate = server_root.public_key() != user_root.public_key();
        if separate && server_root.is_authority() && user_root.is_authority() {
            Ok(Self { server_root, user_root })
        } else {
            Err(TrustError::NotRoots)
        }
    }

    /// Reads a DER bundle.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn from_der(der: &[u8]) -> Result<Self, TrustError> {
        let wire: Wire = decode_canonical(der).map_err(|_| TrustError::Malformed)?;
        if wire.version != VERSION {
            return Err(TrustError::Malformed);
        }
        let root =
            |der: &OctetString| Certificate::from_der(der.as_bytes()).map_err(|_| TrustError::Malformed);
        Self::new(root(&wire.server_root)?, root(&wire.user_root)?)
    }

    /// The DER encoding.
    ///
    /// # Errors
    /// [`TrustError::Malformed`] when the encoder fails, which no bundle makes it do.
    pub fn to_der(&self) -> Result<Vec<u8>, TrustError> {
        let root = |root: &Certificate| OctetString::new(root.der());
        let encode = || -> der::Result<Vec<u8>> {
            Wire {
                version: VERSION,
                server_root: root(&self.server_root)?,
                user_root: root(&self.user_root)?,
            }
            .to_der()
        };
        encode().map_err(|_| TrustError::Malformed)
    }

    /// SHA-256 of the DER encoding.
    ///
    /// # Errors
    /// As [`TrustBundle::to_der`].
    pub fn fingerprint(&self) -> Result<[u8; 32], TrustError> {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, &self.to_der()?).as_ref());
        Ok(hash)
    }
}
