//! Keys in the form `rcgen` takes them.

use std::path::Path;

use life_pki::key::KeyAlgorithm;
use life_pki::{PrivateKey, PublicKey};
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey};

use crate::error::Error;
use crate::layout;

/// A P-256 key that signs certificates, CRLs or receipts.
pub struct CaKey(PrivateKey);

life_sys::secret_types!(CaKey);

impl CaKey {
    /// Generates a key.
    ///
    /// # Errors
    /// [`Error::Certificate`] when AWS-LC fails.
    pub fn generate() -> Result<Self, Error> {
        PrivateKey::generate_p256().map(Self).map_err(|_| Error::Certificate("key generation failed"))
    }

    /// Reads a PKCS#8 file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::Certificate`] when it holds no P-256 key.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let pkcs8 = life_sys::secret::SecretBytes::new(layout::read(path, "cannot read a private key")?);
        // EXPOSE: a key file is parsed where it was read.
        let key = PrivateKey::from_pkcs8(pkcs8.expose())
            .map_err(|_| Error::Certificate("a key file holds no key of the suite"))?;
        if key.public_key().algorithm() != KeyAlgorithm::P256 {
            return Err(Error::Certificate("a key file holds no P-256 key"));
        }
        Ok(Self(key))
    }

    /// Writes a new PKCS#8 file, private to this account.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        // EXPOSE: the file is the key's only home.
        layout::write_new(path, self.0.to_pkcs8().expose())
    }

    /// The private key.
    #[must_use]
    pub fn private(&self) -> &PrivateKey {
        &self.0
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        self.0.public_key()
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        self.public().bits()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// A subject's public key.
pub(super) struct SubjectKey<'a>(pub &'a PublicKey);

impl PublicKeyData for SubjectKey<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.bits()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
            KeyAlgorithm::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}
