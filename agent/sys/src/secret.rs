//! Secret bytes that cannot be printed, cloned or serialised, and are wiped when dropped.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::secret_types;

secret_types!(SecretBytes, Key256);

/// Secret bytes of any length, wiped when dropped.
///
/// The type has no `Debug`, `Clone`, `PartialEq` or `Serialize` on purpose. Whoever needs the bytes calls
/// [`SecretBytes::expose`] and says why in a comment that starts with `EXPOSE:`.
///
/// ```
/// let secret = life_sys::secret::SecretBytes::new(b"correct horse".to_vec());
/// assert!(secret.ct_eq(b"correct horse"));
/// ```
///
/// ```compile_fail,E0277
/// let secret = life_sys::secret::SecretBytes::new(b"correct horse".to_vec());
/// format!("{secret:?}");
/// ```
///
/// ```compile_fail,E0599
/// let secret = life_sys::secret::SecretBytes::new(b"correct horse".to_vec());
/// secret.clone();
/// ```
///
/// ```compile_fail,E0369
/// let secret = life_sys::secret::SecretBytes::new(b"correct horse".to_vec());
/// assert!(secret == life_sys::secret::SecretBytes::new(b"correct horse".to_vec()));
/// ```
///
/// ```compile_fail,E0277
/// #[derive(Debug)]
/// struct Pin(life_sys::secret::SecretBytes);
/// ```
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// Takes ownership of bytes that are already a secret.
    ///
    /// The vector's spare capacity is wiped together with its contents.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Makes a secret of `len` zero bytes and lets `fill` write it in place.
    ///
    /// # Errors
    /// Returns what `fill` returns; the partly written bytes are wiped.
    pub fn init_with<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(vec![0; len]);
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The length in bytes, which is not secret.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares with other bytes in a time that depends on the lengths alone.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A 256-bit secret key, wiped when dropped; moved rather than copied.
///
/// ```
/// let key = life_sys::secret::Key256::take(&mut [7; 32]);
/// assert!(key.ct_eq(&life_sys::secret::Key256::take(&mut [7; 32])));
/// ```
///
/// ```compile_fail,E0277
/// let key = life_sys::secret::Key256::take(&mut [7; 32]);
/// format!("{key:?}");
/// ```
///
/// ```compile_fail,E0382
/// let key = life_sys::secret::Key256::take(&mut [7; 32]);
/// drop(key);
/// key.expose();
/// ```
///
/// ```compile_fail,E0369
/// let key = life_sys::secret::Key256::take(&mut [7; 32]);
/// assert!(key == life_sys::secret::Key256::take(&mut [7; 32]));
/// ```
pub struct Key256(Box<[u8; 32]>);

impl Key256 {
    /// Copies the bytes into a key and wipes the source.
    #[must_use]
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let mut key = Box::new([0; 32]);
        key.copy_from_slice(bytes);
        bytes.zeroize();
        Self(key)
    }

    /// Makes a key of zero bytes and lets `fill` write it in place.
    ///
    /// # Errors
    /// Returns what `fill` returns.
    pub fn init_with<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut key = Self(Box::new([0; 32]));
        fill(&mut key.0)?;
        Ok(key)
    }

    /// Makes a key from a slice, or nothing when it is not 32 bytes long.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self(Box::new([0; 32]));
        if bytes.len() != 32 {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares with another key in constant time.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Drop for Key256 {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_needs_same_length_and_bytes() {
        let secret = SecretBytes::new(b"correct horse".to_vec());
        assert!(secret.ct_eq(b"correct horse"));
        assert!(!secret.ct_eq(b"correct hors"));
        assert!(!secret.ct_eq(b"correct h0rse"));
    }

    #[test]
    fn key_refuses_other_lengths() {
        assert!(Key256::from_slice(&[0; 31]).is_none());
        assert!(Key256::from_slice(&[0; 33]).is_none());
        assert!(Key256::from_slice(&[7; 32]).is_some_and(|key| key.expose() == &[7; 32]));
    }
}
