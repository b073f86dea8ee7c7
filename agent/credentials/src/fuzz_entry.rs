//! Bodies of the fuzz targets: the first look at a PKCS#12 file, what a card says, and what a SuperPIN opens.

use std::hint::black_box;

use life_pki::Uid;
use life_pki::account_log::CredentialId;
use life_sys::secret::{Key256, SecretBytes};

use crate::pfx::survey;
use crate::{SuperPin, card, key_bundle};

/// Reads the bytes as each kind of object that comes from a card.
pub fn card_object(bytes: &[u8]) {
    card::read_anything(bytes);
}

/// Unwraps the bytes as a key bundle of one fixed secret, user and credential, and reads them as what a bundle holds.
pub fn key_bundle(bytes: &[u8]) {
    let key = Key256::take(&mut [7; 32]);
    let (uid, credential) = (Uid::from_random([1; 16]), CredentialId([2; 16]));
    let _ = black_box(key_bundle::unwrap(bytes, uid, credential, &key).is_ok());
    let _ = black_box(key_bundle::read_keys(bytes).is_ok());
}

/// Surveys the bytes as a PKCS#12 file, and takes its parts apart; no key derivation runs.
pub fn pkcs12(bytes: &[u8]) {
    if let Ok(survey) = survey(bytes) {
        survey.parts().for_each(drop);
    }
}

/// Reads the bytes as a SuperPIN: what is written of it reads as the same one.
pub fn super_pin(bytes: &[u8]) {
    let Ok(pin) = SuperPin::read(&SecretBytes::new(bytes.to_vec())) else { return };
    let written = pin.write();
    assert!(written.is_ok_and(|text| SuperPin::read(&text).is_ok_and(|again| again.is_same(&pin))));
}
