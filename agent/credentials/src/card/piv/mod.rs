//! PIV cards (NIST SP 800-73-4, and RSA-3072 as SP 800-78-5 has it): 9A authenticates, 9C signs with the PIN each time, 9D
//! opens.

mod administration;
mod keys;
mod objects;
mod pins;

use life_pki::key::KeyAlgorithm;
use life_pki::{KeySlot, PublicKey};
use life_sys::secret::{Key256, SecretBytes};

pub use administration::ManagementKey;
pub(crate) use objects::{card_name, certificate_in, public_key_in};

use super::apdu::{Answer, Command, exchange};
use super::{CardError, CardId, CardProfile, Pin, PinStatus, Puk, Transport, Who};

/// The card application's id without its version (part 1, 2.2).
const APPLICATION: [u8; 9] = [0xa0, 0, 0, 3, 8, 0, 0, 0x10, 0];

/// A PIV card, with its application selected.
pub struct Piv<'a> {
    transport: &'a mut dyn Transport,
}

impl<'a> Piv<'a> {
    /// Selects the application.
    ///
    /// # Errors
    /// [`CardError::NoApplication`] for a card of another kind.
    pub fn select(transport: &'a mut dyn Transport) -> Result<Self, CardError> {
        let mut card = Self { transport };
        match card.send(0xa4, [4, 0], &APPLICATION)?.data() {
            Ok(_properties) => Ok(card),
            Err(CardError::NotFound | CardError::NotSupported) => Err(CardError::NoApplication),
            Err(other) => Err(other),
        }
    }

    fn send(&mut self, instruction: u8, parameters: [u8; 2], data: &[u8]) -> Result<Answer, CardError> {
        exchange(self.transport, &Command { instruction, parameters, data })
    }

    /// Sends what holds a secret.
    fn send_secret(
        &mut self,
        instruction: u8,
        parameters: [u8; 2],
        data: &SecretBytes,
    ) -> Result<Answer, CardError> {
        // EXPOSE: to the card.
        self.send(instruction, parameters, data.expose())
    }
}

impl CardProfile for Piv<'_> {
    fn id(&mut self) -> Result<CardId, CardError> {
        self.read_id()
    }

    fn certificate(&mut self, slot: KeySlot) -> Result<Option<Vec<u8>>, CardError> {
        self.read_certificate(slot)
    }

    fn pin_status(&mut self) -> Result<PinStatus, CardError> {
        Ok(PinStatus { pin: self.pin_tries()?, puk: self.puk_tries()? })
    }

    fn verify(&mut self, pin: &Pin, who: Who) -> Result<(), CardError> {
        self.verify_pin(pin, who)
    }

    fn change_pin(&mut self, old: &Pin, new: &Pin) -> Result<(), CardError> {
        self.change_reference(old, new)
    }

    fn unblock_pin(&mut self, puk: &Puk, new: &Pin) -> Result<(), CardError> {
        self.reset_retry_counter(puk, new)
    }

    fn sign(&mut self, slot: KeySlot, key: KeyAlgorithm, message: &[u8]) -> Result<Vec<u8>, CardError> {
        self.sign_message(slot, key, message)
    }

    fn decipher(
        &mut self,
        key: KeyAlgorithm,
        ciphertext: &[u8],
        random: &Key256,
    ) -> Result<Key256, CardError> {
        self.open_key(key, ciphertext, random)
    }

    fn agree(&mut self, point: &[u8]) -> Result<SecretBytes, CardError> {
        self.agree_with(point)
    }

    fn generate(&mut self, slot: KeySlot, key: KeyAlgorithm) -> Result<PublicKey, CardError> {
        self.generate_key(slot, key)
    }

    fn put_certificate(&mut self, slot: KeySlot, certificate: &[u8]) -> Result<(), CardError> {
        self.write_certificate(slot, certificate)
    }
}

/// The key reference of a slot (part 1, table 4b).
fn reference(slot: KeySlot) -> Result<u8, CardError> {
    match slot {
        KeySlot::Authentication => Ok(0x9a),
        KeySlot::Signature => Ok(0x9c),
        KeySlot::Encryption => Ok(0x9d),
        // A root credential's key is never on a card.
        KeySlot::Root => Err(CardError::NotSupported),
    }
}

/// The identifier of an algorithm (SP 800-78-4 table 6-2, SP 800-78-5 for RSA-3072), with the length of its modulus in bytes.
fn identifier(key: KeyAlgorithm) -> Result<(u8, usize), CardError> {
    match key {
        KeyAlgorithm::P256 => Ok((0x11, 0)),
        KeyAlgorithm::Rsa { bits: 2048 } => Ok((0x07, 256)),
        KeyAlgorithm::Rsa { bits: 3072 } => Ok((0x05, 384)),
        KeyAlgorithm::Rsa { .. } => Err(CardError::NotSupported),
    }
}
