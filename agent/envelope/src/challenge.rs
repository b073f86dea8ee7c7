//! Proof of possession for keys that never sign: opening a challenge sealed to them (FORMATS §4).

use life_pki::{KeySlot, PrivateKey, PublicKey, Uid};
use life_sys::secret::Key256;

use crate::Error;

/// Seals a challenge with this nonce to the key of one slot of one user. Returns an envelope, DER.
///
/// # Errors
/// [`Error::Key`] when AWS-LC fails.
pub fn seal(nonce: &[u8; 32], uid: Uid, slot: KeySlot, key: &PublicKey) -> Result<Vec<u8>, Error> {
    let _ = (nonce, uid, slot, key);
    Err(Error::Malformed)
}

/// Opens a challenge and gives its nonce, if it is for exactly this user, slot and key.
///
/// # Errors
/// [`Error::DecryptionFailed`], whatever the cause, once the form is right.
pub fn open(envelope: &[u8], uid: Uid, slot: KeySlot, key: &PrivateKey) -> Result<Key256, Error> {
    let _ = (envelope, uid, slot, key);
    Err(Error::DecryptionFailed)
}
