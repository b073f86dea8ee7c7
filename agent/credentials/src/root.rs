//! The root credential: the only keys content is encrypted to, opened from a seal by a working credential.

use aws_lc_rs::hmac;
use life_envelope::recipient::{RecipientInfo, unwrap};
use life_envelope::root_seal::{RootKeySeal, derive_pin_key};
use life_envelope::{ContentKey, Error as EnvelopeError};
use life_pki::account_log::{AccountState, CredentialId, CredentialRecord};
use life_pki::{PrivateKey, PublicKey, Uid};
use life_sys::secret::{Key256, SecretBytes};

use crate::RootError::{self, NotLive, Operation, SealForeign, SealMissing};
use crate::SoftwareCertificate;

/// Seals the first root credential of a new account to a working credential's encryption key.
///
/// # Errors
/// [`RootError::Operation`] when AWS-LC fails.
pub fn seal(
    uid: Uid,
    credential_id: CredentialId,
    generation: u32,
    root_key: &PrivateKey,
    history_key: &Key256,
    encryption_key: &PublicKey,
) -> Result<Vec<u8>, RootError> {
    RootKeySeal {
        uid,
        credential_id: credential_id.0,
        generation: generation.into(),
        // EXPOSE: into the seal, which is encrypted next; both copies are wiped when dropped.
        root_key: SecretBytes::new(root_key.to_pkcs8().expose().to_vec()),
        history_key: Key256::from_slice(history_key.expose()).ok_or(Operation)?,
    }
    .seal(encryption_key)
    .map_err(|_| Operation)
}

/// An open root credential.
pub struct RootCredential {
    key: PrivateKey,
    generation: u32,
    credential_id: CredentialId,
    pin_key: hmac::Key,
}

life_sys::secret_types!(RootCredential);

impl RootCredential {
    /// Opens the current root credential of a verified account with a working credential.
    ///
    /// The seal must be for exactly this user, this working credential and a root key that the log names
    /// (FORMATS §6). Seals for other credentials and older generations are passed over.
    ///
    /// # Errors
    /// [`RootError::NotLive`] when the log does not have the working credential, [`RootError::SealForeign`] when no
    /// seal is good but one is meant for this credential, and [`RootError::SealMissing`] when there is none.
    pub fn open(
        credential: &SoftwareCertificate,
        account: &AccountState,
        seals: &[impl AsRef<[u8]>],
    ) -> Result<Self, RootError> {
        let record = own_record(credential, account).ok_or(NotLive)?;
        let mut failure = SealMissing;
        for envelope in seals {
            let opened = match RootKeySeal::open(envelope.as_ref(), credential.encryption_key()) {
                Ok(opened) => opened,
                Err(EnvelopeError::NotARecipient) => continue,
                Err(_) => {
                    failure = SealForeign;
                    continue;
                }
            };
            match Self::check(opened, record, account) {
                Ok(root) => return Ok(root),
                Err(SealMissing) => {}
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn check(
        seal: RootKeySeal,
        record: &CredentialRecord,
        account: &AccountState,
    ) -> Result<Self, RootError> {
        if seal.uid != account.uid() || seal.credential_id != record.keys.id.0 {
            return Err(SealForeign);
        }
        let generation = u32::try_from(seal.generation).map_err(|_| SealForeign)?;
        let named = account.root(generation).ok_or(SealForeign)?;
        // EXPOSE: read into a key; the seal's copy is wiped with it.
        let key = PrivateKey::from_pkcs8(seal.root_key.expose()).map_err(|_| SealForeign)?;
        if key.public_key().hash() != named.spki_hash {
            return Err(SealForeign);
        }
        if generation != account.current_root().generation {
            return Err(SealMissing);
        }
        let pin_key = derive_pin_key(&seal.history_key).map_err(|_| Operation)?;
        // All memory that it ever takes for long is taken now.
        key.prepare_to_open().map_err(|_| Operation)?;
        Ok(Self {
            key,
            generation,
            credential_id: record.keys.id,
            // EXPOSE: into AWS-LC's key.
            pin_key: hmac::Key::new(hmac::HMAC_SHA256, pin_key.expose()),
        })
    }

    /// Its generation.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    /// The working credential that opened it, as the account log names it.
    #[must_use]
    pub fn credential_id(&self) -> CredentialId {
        self.credential_id
    }

    /// Unwraps a content key; a random key comes out of what does not open (FORMATS §3 rule 4).
    ///
    /// # Errors
    /// [`RootError::Operation`] when AWS-LC fails.
    pub fn unwrap(&self, recipient: &RecipientInfo) -> Result<ContentKey, RootError> {
        unwrap(recipient, &self.key).map_err(|_| Operation)
    }

    /// The MAC (HMAC-SHA256) of a pin store, under a key that serves nothing else.
    #[must_use]
    pub fn mac(&self, data: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        let mac = hmac::sign(&self.pin_key, data);
        tag.iter_mut().zip(mac.as_ref()).for_each(|(to, from)| *to = *from);
        tag
    }
}

/// The live working credential of the log whose three keys are these.
fn own_record<'a>(
    credential: &SoftwareCertificate,
    account: &'a AccountState,
) -> Option<&'a CredentialRecord> {
    if credential.uid() != account.uid() {
        return None;
    }
    account.credentials().iter().filter(|record| record.is_live()).find(|record| {
        record.keys.authentication == credential.authentication().public_key().hash()
            && record.keys.signature == credential.signature().public_key().hash()
            && record.keys.encryption == credential.encryption().public_key().hash()
    })
}
