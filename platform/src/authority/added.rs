//! What the adding of a working credential proves, checked from scratch (FORMATS §7, §8).
//!
//! As with a registration, `serve` checks it before it asks, and the CA checks it again.

use life_pki::account_log::{self, AccountState, Change, CredentialKeys, Entry};
use life_pki::{CredentialKind, KeySlot, PublicKey, SpkiHash, Timestamp, Uid};
use serde::{Deserialize, Serialize};

use super::evidence::{EvidenceError, plain, requested};
use crate::encoding::Base64;

/// The three public keys of a credential that is added, two of them in signed requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedKeys {
    /// PKCS#10 of the authentication key.
    pub authentication_csr: Base64,
    /// PKCS#10 of the signature key.
    pub signature_csr: Base64,
    /// SubjectPublicKeyInfo of the encryption key, which never signs.
    pub encryption_spki: Base64,
}

/// Keys and whole log, whose newest entry adds the credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedEvidence {
    /// The keys.
    pub keys: AddedKeys,
    /// Every entry of the log.
    pub log: Vec<Base64>,
}

/// The three keys after their checks, each with its slot.
pub type CheckedKeys = [(KeySlot, PublicKey); 3];

/// Evidence that passed every check.
#[derive(Clone, Debug)]
pub struct CheckedAddition {
    /// The keys.
    pub keys: CheckedKeys,
    /// The credential, as the log names it.
    pub credential: CredentialKeys,
    /// What the log says.
    pub state: AccountState,
}

impl AddedKeys {
    /// Checks the requests' signatures and subjects, every key's family and size, and that all three differ.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn check(&self, uid: Uid) -> Result<CheckedKeys, EvidenceError> {
        use KeySlot::{Authentication, Encryption, Signature};
        let keys = [
            (Authentication, requested(&self.authentication_csr.0, uid, Authentication)?),
            (Signature, requested(&self.signature_csr.0, uid, Signature)?),
            (Encryption, plain(&self.encryption_spki.0, Encryption)?),
        ];
        let [a, b, c] = hashes(&keys);
        if a == b || b == c || a == c { Err(EvidenceError::SharedKey) } else { Ok(keys) }
    }
}

impl AddedEvidence {
    /// Verifies the log as of `now`, and that its newest entry adds a credential with exactly the keys that were proven.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn check(&self, uid: Uid, now: Timestamp) -> Result<CheckedAddition, EvidenceError> {
        let state = account_log::verify_for(uid, &self.log, now)?;
        let newest = self.log.last().and_then(|entry| Entry::from_der(&entry.0).ok());
        let Some(Change::AddCredential(credential)) = newest.map(|entry| entry.body().change.clone()) else {
            return Err(EvidenceError::NotAdded);
        };
        if credential.kind != CredentialKind::SuperPin {
            return Err(EvidenceError::NotAdded);
        }
        let keys = self.keys.check(uid)?;
        let named = [credential.authentication, credential.signature, credential.encryption];
        for ((slot, key), hash) in keys.iter().zip(named) {
            if key.hash() != hash {
                return Err(EvidenceError::KeyMismatch(*slot));
            }
        }
        Ok(CheckedAddition { keys, credential, state })
    }
}

/// The hashes of the keys.
#[must_use]
pub fn hashes(keys: &CheckedKeys) -> [SpkiHash; 3] {
    let [(_, a), (_, b), (_, c)] = keys;
    [a.hash(), b.hash(), c.hash()]
}
