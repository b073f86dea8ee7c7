//! The root key seal: one generation of a root credential, sealed to one working credential (FORMATS §6).

use life_pki::{PrivateKey, PublicKey, Uid};
use life_sys::secret::{Key256, SecretBytes};

use crate::Error;

/// What a root key seal holds.
pub struct RootKeySeal {
    /// Whose root credential it is.
    pub uid: Uid,
    /// The working credential it is sealed to.
    pub credential_id: [u8; 16],
    /// The root credential's generation.
    pub generation: u64,
    /// The root credential's private key, PKCS#8.
    pub root_key: SecretBytes,
    /// The key that older root credentials and the pin store's MAC come from.
    pub history_key: Key256,
}

impl RootKeySeal {
    /// Seals to a working credential's encryption key. Returns an envelope, DER.
    ///
    /// # Errors
    /// [`Error::Key`] when AWS-LC fails.
    pub fn seal(&self, key: &PublicKey) -> Result<Vec<u8>, Error> {
        let _ = key;
        Err(Error::Malformed)
    }

    /// Opens a seal: exactly one recipient, which is this key.
    ///
    /// Whether the root key matches the account log is the vault's to judge.
    ///
    /// # Errors
    /// [`Error::NotARecipient`] for a seal to another key, [`Error::DecryptionFailed`] for one that does not open,
    /// whatever the cause, or whose payload is not well-formed.
    pub fn open(envelope: &[u8], key: &PrivateKey) -> Result<Self, Error> {
        let _ = (envelope, key);
        Err(Error::DecryptionFailed)
    }
}

/// The key of the pin store's MAC: HKDF-SHA256 of the history key.
///
/// # Errors
/// [`Error::Key`] when AWS-LC fails.
pub fn derive_pin_key(history_key: &Key256) -> Result<Key256, Error> {
    let _ = history_key;
    Err(Error::Malformed)
}
