//! What the keys do: GENERAL AUTHENTICATE (SP 800-73-4 part 2, 3.2.4) and GENERATE ASYMMETRIC KEY PAIR (3.3.2).

use aws_lc_rs::digest::{SHA256, digest};
use life_pki::key::KeyAlgorithm;
use life_pki::{KeySlot, PublicKey};
use life_sys::secret::{Key256, SecretBytes};

use super::{Piv, identifier, public_key_in, reference};
use crate::card::{CardError, padding, tlv};

const GENERAL_AUTHENTICATE: u8 = 0x87;
const GENERATE: u8 = 0x47;

/// Tags inside the dynamic authentication template 7C (table 7).
const CHALLENGE: u8 = 0x81;
const EXPONENTIATION: u8 = 0x85;

impl Piv<'_> {
    pub(super) fn sign_message(
        &mut self,
        slot: KeySlot,
        key: KeyAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, CardError> {
        // What the encryption slot's key does to a number is what opens: it never signs (FORMATS §4).
        if !matches!(slot, KeySlot::Authentication | KeySlot::Signature) {
            return Err(CardError::NotSupported);
        }
        let (_, length) = identifier(key)?;
        let input = match key {
            KeyAlgorithm::Rsa { .. } => {
                padding::encode_pss(message, length).ok_or(CardError::NotSupported)?
            }
            KeyAlgorithm::P256 => digest(&SHA256, message).as_ref().to_vec(),
        };
        let signature = self.use_key(slot, key, CHALLENGE, &input)?;
        if length != 0 && signature.len() != length {
            return Err(CardError::Senseless);
        }
        // EXPOSE: a signature is no secret.
        Ok(signature.expose().to_vec())
    }

    pub(super) fn open_key(
        &mut self,
        key: KeyAlgorithm,
        ciphertext: &[u8],
        random: &Key256,
    ) -> Result<Key256, CardError> {
        let (_, length) = identifier(key)?;
        if length == 0 || ciphertext.len() != length {
            return Err(CardError::NotSupported);
        }
        let encoded = self.use_key(KeySlot::Encryption, key, CHALLENGE, ciphertext)?;
        if encoded.len() != length {
            return Err(CardError::Senseless);
        }
        padding::take_oaep_key(&encoded, random).ok_or(CardError::Senseless)
    }

    pub(super) fn agree_with(&mut self, point: &[u8]) -> Result<SecretBytes, CardError> {
        if !is_on_p256(point) {
            return Err(CardError::NotSupported);
        }
        let shared = self.use_key(KeySlot::Encryption, KeyAlgorithm::P256, EXPONENTIATION, point)?;
        if shared.len() == 32 { Ok(shared) } else { Err(CardError::Senseless) }
    }

    /// Has a slot's key work on a number, a digest or a point.
    fn use_key(
        &mut self,
        slot: KeySlot,
        key: KeyAlgorithm,
        tag: u8,
        input: &[u8],
    ) -> Result<SecretBytes, CardError> {
        let (algorithm, _) = identifier(key)?;
        // An empty response object asks for one.
        let inner = [&[0x82, 0][..], &tlv::object(&[tag], input)].concat();
        let template = tlv::object(&[0x7c], &inner);
        let answer = self.send(GENERAL_AUTHENTICATE, [algorithm, reference(slot)?], &template)?.data()?;
        // EXPOSE: its content may be what the key has opened; it stays in a wiped copy.
        let response = tlv::find(answer.expose(), 0x7c).and_then(|template| tlv::find(template, 0x82));
        response.map(|response| SecretBytes::new(response.to_vec())).ok_or(CardError::Senseless)
    }

    pub(super) fn generate_key(&mut self, slot: KeySlot, key: KeyAlgorithm) -> Result<PublicKey, CardError> {
        let (algorithm, _) = identifier(key)?;
        let template = tlv::object(&[0xac], &tlv::object(&[0x80], &[algorithm]));
        let answer = self.send(GENERATE, [0, reference(slot)?], &template)?;
        let answer = super::administration::permitted(answer)?;
        // EXPOSE: a public key.
        let public = public_key_in(answer.expose()).ok_or(CardError::Senseless)?;
        if public.algorithm() == key { Ok(public) } else { Err(CardError::Senseless) }
    }
}

/// Whether these bytes are an uncompressed point of P-256: a card that does not look would tell of its key with other curves.
fn is_on_p256(point: &[u8]) -> bool {
    PublicKey::from_point(point).is_ok()
}
