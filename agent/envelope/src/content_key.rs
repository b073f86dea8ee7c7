//! The key that encrypts one content.

use life_sys::secret::Key256;

/// The AES-256-GCM key of one envelope's content. Wiped when dropped.
pub struct ContentKey(Key256);

life_sys::secret_types!(ContentKey);

impl ContentKey {
    /// Takes over a key that was unwrapped elsewhere, in the vault.
    #[must_use]
    pub fn new(key: Key256) -> Self {
        Self(key)
    }

    /// Draws a fresh key.
    ///
    /// # Errors
    /// [`crate::Error::Key`] when the random number generator fails.
    pub fn generate() -> Result<Self, crate::Error> {
        Key256::init_with(|key| aws_lc_rs::rand::fill(key))
            .map(Self)
            .map_err(|_| crate::Error::Key(life_pki::key::KeyError::Operation))
    }

    /// The key itself, to be carried from the vault to the broker or used by a cipher.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        // EXPOSE: passed on; every caller says why.
        self.0.expose()
    }
}
