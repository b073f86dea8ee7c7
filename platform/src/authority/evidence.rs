//! What a registration proves, checked from scratch (FORMATS §7, §8).
//!
//! `serve` checks it before it asks, and the CA checks it again: neither believes the other.

use life_pki::account_log::{self, AccountState, CredentialRecord, LogError, LogFault};
use life_pki::profile::SlotProfile;
use life_pki::{KeySlot, PublicKey, SpkiHash, Timestamp, Uid, csr};
use serde::{Deserialize, Serialize};

use crate::encoding::{Base64, sha256};

/// The four public keys of a new account, two of them in signed requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// PKCS#10 of the authentication key.
    pub authentication_csr: Base64,
    /// PKCS#10 of the signature key.
    pub signature_csr: Base64,
    /// SubjectPublicKeyInfo of the encryption key, which never signs.
    pub encryption_spki: Base64,
    /// SubjectPublicKeyInfo of the root credential, which never signs.
    pub root_spki: Base64,
}

/// Keys and log of one registration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The keys.
    pub keys: Keys,
    /// Exactly two entries: genesis and the first root credential.
    pub log: Vec<Base64>,
}

/// Why evidence was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// A request's signature, subject or slot is wrong.
    #[error("the {0} request is not a signed PKCS#10 for this user and slot")]
    Csr(KeySlot),
    /// A key is malformed, outside the suite or too small for its slot.
    #[error("the {0} key is not one of the suite, or too small for its slot")]
    Key(KeySlot),
    /// The account log names another key.
    #[error("the account log names another {0} key")]
    KeyMismatch(KeySlot),
    /// The account log does not verify.
    #[error("the account log does not verify: {0}")]
    Log(#[from] LogError),
    /// The log's newest entry does not add this credential, or it is of a kind that is not added this way.
    #[error("the log's newest entry does not add a credential of this kind")]
    NotAdded,
    /// The log holds more or less than a registration.
    #[error("a registration's log is a genesis and the first root credential, nothing else")]
    Shape,
    /// Two slots share one key.
    #[error("two slots share one key")]
    SharedKey,
}

impl EvidenceError {
    /// Whether nothing is wrong but the time: one clock or the other is.
    #[must_use]
    pub fn is_clock_skew(&self) -> bool {
        matches!(self, Self::Log(LogError { fault: LogFault::FromTheFuture, .. }))
    }
}

/// The four keys after their checks.
#[derive(Clone, Debug)]
pub struct CheckedKeys {
    /// TLS client authentication.
    pub authentication: PublicKey,
    /// Signatures.
    pub signature: PublicKey,
    /// Opens the root key seal.
    pub encryption: PublicKey,
    /// The root credential.
    pub root: PublicKey,
}

impl CheckedKeys {
    /// Each slot with its key.
    #[must_use]
    pub fn slots(&self) -> [(KeySlot, &PublicKey); 4] {
        [
            (KeySlot::Authentication, &self.authentication),
            (KeySlot::Signature, &self.signature),
            (KeySlot::Encryption, &self.encryption),
            (KeySlot::Root, &self.root),
        ]
    }
}

impl Keys {
    /// Checks the requests' signatures and subjects, every key's family and size, and that all four differ.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn check(&self, uid: Uid) -> Result<CheckedKeys, EvidenceError> {
        let keys = CheckedKeys {
            authentication: requested(&self.authentication_csr.0, uid, KeySlot::Authentication)?,
            signature: requested(&self.signature_csr.0, uid, KeySlot::Signature)?,
            encryption: plain(&self.encryption_spki.0, KeySlot::Encryption)?,
            root: plain(&self.root_spki.0, KeySlot::Root)?,
        };
        let mut hashes: Vec<SpkiHash> = keys.slots().iter().map(|(_, key)| key.hash()).collect();
        hashes.sort_unstable();
        hashes.dedup();
        if hashes.len() != 4 { Err(EvidenceError::SharedKey) } else { Ok(keys) }
    }
}

/// Evidence that passed every check.
#[derive(Clone, Debug)]
pub struct CheckedEvidence {
    /// The four keys.
    pub keys: CheckedKeys,
    /// What the log says.
    pub state: AccountState,
    /// The one credential of the log.
    pub credential: CredentialRecord,
}

impl Evidence {
    /// Verifies the log as of `now`, and that it names exactly the keys that were proven.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn check(&self, uid: Uid, now: Timestamp) -> Result<CheckedEvidence, EvidenceError> {
        if self.log.len() != 2 {
            return Err(EvidenceError::Shape);
        }
        let state = account_log::verify_for(uid, &self.log, now)?;
        let [credential] = state.credentials() else { return Err(EvidenceError::Shape) };
        let credential = credential.clone();
        let keys = self.keys.check(uid)?;
        let named = [
            credential.keys.authentication,
            credential.keys.signature,
            credential.keys.encryption,
            state.current_root().spki_hash,
        ];
        for ((slot, key), hash) in keys.slots().into_iter().zip(named) {
            if key.hash() != hash {
                return Err(EvidenceError::KeyMismatch(slot));
            }
        }
        Ok(CheckedEvidence { keys, state, credential })
    }

    /// SHA-256 over everything, by which a repeated commit is known.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let parts = [
            &self.keys.authentication_csr,
            &self.keys.signature_csr,
            &self.keys.encryption_spki,
            &self.keys.root_spki,
        ];
        let digests: Vec<[u8; 32]> = parts.into_iter().chain(&self.log).map(|p| sha256(&[&p.0])).collect();
        sha256(&digests.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>())
    }
}

pub(super) fn requested(der: &[u8], uid: Uid, slot: KeySlot) -> Result<PublicKey, EvidenceError> {
    let request = csr::verify(der).map_err(|_| EvidenceError::Csr(slot))?;
    if request.uid == uid && request.slot == slot {
        Ok(request.public_key)
    } else {
        Err(EvidenceError::Csr(slot))
    }
}

pub(super) fn plain(spki: &[u8], slot: KeySlot) -> Result<PublicKey, EvidenceError> {
    let key = PublicKey::from_spki(spki).map_err(|_| EvidenceError::Key(slot))?;
    SlotProfile::of(slot).check_key(&key).map_err(|_| EvidenceError::Key(slot))?;
    Ok(key)
}
