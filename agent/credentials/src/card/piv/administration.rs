//! The management key, which keys and certificates are changed with (SP 800-73-4 part 2, 3.2.4 and appendix A.1).

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use cbc::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use des::TdesEde3;
use life_sys::secret::SecretBytes;

use super::Piv;
use crate::card::apdu::Answer;
use crate::card::{CardError, tlv};

const GENERAL_AUTHENTICATE: u8 = 0x87;
const TRIPLE_DES: u8 = 0x03;
const MANAGEMENT_KEY: u8 = 0x9b;
const BLOCK: usize = 8;

/// A management key: three-key triple DES, as cards of the standard have it.
pub struct ManagementKey(SecretBytes);

life_sys::secret_types!(ManagementKey);

impl ManagementKey {
    /// Takes 24 bytes; none for another length.
    #[must_use]
    pub fn new(key: SecretBytes) -> Option<Self> {
        (key.len() == 24).then_some(Self(key))
    }

    fn encrypt(&self, block: [u8; BLOCK]) -> Result<[u8; BLOCK], CardError> {
        let mut block = Array::from(block);
        self.cipher()?.encrypt_block(&mut block);
        Ok(block.into())
    }

    fn decrypt(&self, block: &[u8]) -> Result<[u8; BLOCK], CardError> {
        let block: [u8; BLOCK] = block.try_into().map_err(|_| CardError::Senseless)?;
        let mut block = Array::from(block);
        self.cipher()?.decrypt_block(&mut block);
        Ok(block.into())
    }

    fn cipher(&self) -> Result<TdesEde3, CardError> {
        // EXPOSE: into the cipher.
        TdesEde3::new_from_slice(self.0.expose()).map_err(|_| CardError::NotSupported)
    }
}

impl Piv<'_> {
    /// Proves to the card that we have the management key, and has the card prove the same.
    ///
    /// # Errors
    /// [`CardError::ManagementKeyWrong`].
    pub fn administrate(&mut self, key: &ManagementKey) -> Result<(), CardError> {
        // The card's witness comes encrypted: only a holder of the key can give it back in clear. Our challenge goes in clear
        // and comes back encrypted.
        let witness = self.ask(&tlv::object(&[0x80], &[]), 0x80)?;
        let witness = key.decrypt(&witness)?;
        let mut challenge = [0; BLOCK];
        SystemRandom::new().fill(&mut challenge).map_err(|_| CardError::NotSupported)?;
        let proof = [tlv::object(&[0x80], &witness), tlv::object(&[0x81], &challenge)].concat();
        let response = match self.ask(&proof, 0x82) {
            Err(CardError::Status(_) | CardError::PinNeeded) => return Err(CardError::ManagementKeyWrong),
            response => response?,
        };
        let expected = SecretBytes::new(key.encrypt(challenge)?.to_vec());
        if expected.ct_eq(&response) { Ok(()) } else { Err(CardError::ManagementKeyWrong) }
    }

    fn ask(&mut self, inner: &[u8], wanted: u32) -> Result<Vec<u8>, CardError> {
        let parameters = [TRIPLE_DES, MANAGEMENT_KEY];
        let answer = self.send(GENERAL_AUTHENTICATE, parameters, &tlv::object(&[0x7c], inner))?.data()?;
        // EXPOSE: witness and response cross the reader in clear anyhow.
        let found = tlv::find(answer.expose(), 0x7c).and_then(|template| tlv::find(template, wanted));
        found.map(<[u8]>::to_vec).ok_or(CardError::Senseless)
    }
}

/// The answer of a command that wants the management key: a missing PIN is not what the card means there.
pub(super) fn permitted(answer: Answer) -> Result<SecretBytes, CardError> {
    match answer.data() {
        Err(CardError::PinNeeded) => Err(CardError::ManagementKeyNeeded),
        other => other,
    }
}
