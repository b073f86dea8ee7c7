//! Smart cards: the keys are on the card and stay there.
//!
//! Pure: bytes go out and come in through a [`Transport`], which is whoever has the reader. What a kind of card does is its
//! [`CardProfile`]; [`Piv`] is the first. Cards are hostile as files are: nothing they say is believed before it has the form
//! that the standard gives it.

mod apdu;
mod error;
mod padding;
mod pin;
mod piv;
mod tlv;

use std::fmt;

use life_pki::key::KeyAlgorithm;
use life_pki::{KeySlot, PublicKey};
use life_sys::secret::{Key256, SecretBytes};

pub use error::{CardError, TransportError};
pub use pin::{Pin, PinStatus, Puk, Who};
pub use piv::{ManagementKey, Piv};

/// Takes commands to a card.
pub trait Transport {
    /// Sends one command and gives the answer, status word included.
    ///
    /// Neither may reach a log: a command can hold a PIN, an answer what a key opened.
    ///
    /// # Errors
    /// [`TransportError`] when there is no answer; the command may have been carried out all the same.
    fn transmit(&mut self, apdu: &SecretBytes) -> Result<SecretBytes, TransportError>;
}

/// What names a card, whatever reader it is in. It has no `Display`: card numbers stay out of logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardId(Vec<u8>);

impl CardId {
    /// The bytes: what they are follows from the profile.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for CardId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("CardId(…)")
    }
}

/// What a kind of card does for a working credential. All calls are about the card's own application, which the profile has
/// selected; what was verified holds until the card is reset.
pub trait CardProfile {
    /// The card's lasting name.
    ///
    /// # Errors
    /// [`CardError::NotFound`] for a card that has none.
    fn id(&mut self) -> Result<CardId, CardError>;

    /// A slot's certificate as the card has it, DER, not judged; none where there is none.
    ///
    /// # Errors
    /// [`CardError::Senseless`] for an object that is none, [`CardError::NotSupported`] for a compressed one.
    fn certificate(&mut self, slot: KeySlot) -> Result<Option<Vec<u8>>, CardError>;

    /// Tries left for PIN and PUK. Costs none.
    ///
    /// # Errors
    /// As the card says.
    fn pin_status(&mut self) -> Result<PinStatus, CardError>;

    /// Shows the PIN to the card. The tries left are read before: none is used up where `who` may not.
    ///
    /// # Errors
    /// [`CardError::WrongPin`], [`CardError::PinBlocked`] or [`CardError::PersonNeeded`].
    fn verify(&mut self, pin: &Pin, who: Who) -> Result<(), CardError>;

    /// Changes the PIN. A person does that: it may use up the last try.
    ///
    /// # Errors
    /// [`CardError::WrongPin`] or [`CardError::PinBlocked`] about the old one.
    fn change_pin(&mut self, old: &Pin, new: &Pin) -> Result<(), CardError>;

    /// Sets a new PIN with the PUK, and gives the PIN all its tries.
    ///
    /// # Errors
    /// [`CardError::WrongPuk`] or [`CardError::PukBlocked`].
    fn unblock_pin(&mut self, puk: &Puk, new: &Pin) -> Result<(), CardError>;

    /// Signs with the authentication or the signature slot: RSASSA-PSS (SHA-256, salt 32) or ECDSA P-256 SHA-256 in DER
    /// (FORMATS §2). The signature slot wants the PIN immediately before, each time.
    ///
    /// # Errors
    /// [`CardError::PinNeeded`]; [`CardError::NotFound`] where the slot has no key; [`CardError::NotSupported`] for another
    /// slot or algorithm. What comes back is not verified here.
    fn sign(&mut self, slot: KeySlot, key: KeyAlgorithm, message: &[u8]) -> Result<Vec<u8>, CardError>;

    /// Opens a 256-bit key that was encrypted to the encryption slot with RSAES-OAEP (FORMATS §2). Where the card has opened
    /// something else, `random` comes out, in the same time (FORMATS §3 rule 4).
    ///
    /// # Errors
    /// [`CardError::PinNeeded`], or [`CardError::NotSupported`] for another algorithm or a ciphertext of another length.
    fn decipher(
        &mut self,
        key: KeyAlgorithm,
        ciphertext: &[u8],
        random: &Key256,
    ) -> Result<Key256, CardError>;

    /// Agrees by ECDH with the encryption slot's P-256 key: the x-coordinate (FORMATS §2).
    ///
    /// # Errors
    /// [`CardError::PinNeeded`]; [`CardError::NotSupported`] for a point that is not on the curve.
    fn agree(&mut self, point: &[u8]) -> Result<SecretBytes, CardError>;

    /// Makes a new key in a slot; the old one is gone.
    ///
    /// # Errors
    /// [`CardError::ManagementKeyNeeded`]; [`CardError::NotSupported`] for a key the card cannot have.
    fn generate(&mut self, slot: KeySlot, key: KeyAlgorithm) -> Result<PublicKey, CardError>;

    /// Puts a slot's certificate, DER, on the card.
    ///
    /// # Errors
    /// [`CardError::ManagementKeyNeeded`] or [`CardError::NoRoom`].
    fn put_certificate(&mut self, slot: KeySlot, certificate: &[u8]) -> Result<(), CardError>;
}

/// For fuzzing: every reader of what a card sends, on the same bytes.
pub(crate) fn read_anything(bytes: &[u8]) {
    let _certificate = piv::certificate_in(bytes);
    let _name = piv::card_name(bytes);
    let _key = piv::public_key_in(bytes);
}
