//! The SuperPIN: a secret on paper that opens an account again (FORMATS §6).
//!
//! It is 160 random bits. Three things come of it, none of which tells the others: an id that the platform finds it by, a
//! key whose public half the platform knows and that answers its challenge, and the key that wraps the key bundle.

mod spelling;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use life_pki::PrivateKey;
use life_sys::secret::{Key256, SecretBytes};
use zeroize::Zeroizing;

/// Bytes of the secret.
const SECRET_LEN: usize = 20;
const LOOKUP: &[u8] = b"LIFE SuperPIN lookup v1";
const AUTHENTICATION: &[u8] = b"LIFE SuperPIN authentication v1";
const WRAPPING: &[u8] = b"LIFE SuperPIN wrapping v1";
/// What stands before the 32 bytes of a P-256 scalar in a PKCS#8 PrivateKeyInfo that leaves the public key out (RFC 5208 §5,
/// RFC 5915 §3).
const P256_PREFIX: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04,
    0x20,
];

/// Why something is no SuperPIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuperPinError {
    /// A character that no SuperPIN has.
    #[error("a character is none that a SuperPIN has")]
    ForeignSymbol,
    /// All symbols are there, but the check symbol does not fit them.
    #[error("a symbol is wrong, or two have changed places")]
    Mistyped,
    /// AWS-LC failed.
    #[error("the operation failed")]
    Operation,
    /// Symbols are missing, or there are too many.
    #[error("symbols are missing or too many")]
    WrongLength,
}

/// What the platform finds a SuperPIN by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookupId(pub [u8; 16]);

/// A SuperPIN.
pub struct SuperPin(SecretBytes);

life_sys::secret_types!(SuperPin);

impl SuperPin {
    /// Makes one of 160 random bits.
    ///
    /// # Errors
    /// [`SuperPinError::Operation`] when there are no random numbers.
    pub fn generate() -> Result<Self, SuperPinError> {
        SecretBytes::init_with(SECRET_LEN, aws_lc_rs::rand::fill)
            .map(Self)
            .map_err(|_| SuperPinError::Operation)
    }

    /// Reads one as people type it: letters of either case, O for 0, I and L for 1, and whatever blanks and hyphens.
    ///
    /// # Errors
    /// [`SuperPinError`], a reason for each: a wrong symbol and two neighbours that changed places are always noticed.
    pub fn read(text: &SecretBytes) -> Result<Self, SuperPinError> {
        spelling::read(text).map(Self)
    }

    /// Writes it: eleven groups of three symbols with hyphens between, the last one the check symbol.
    ///
    /// # Errors
    /// [`SuperPinError::Operation`], which no SuperPIN causes.
    pub fn write(&self) -> Result<SecretBytes, SuperPinError> {
        spelling::write(&self.0)
    }

    /// Whether it is the same one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        // EXPOSE: compared in constant time.
        self.0.ct_eq(other.0.expose())
    }

    /// What the platform finds it by; says nothing about its keys.
    ///
    /// # Errors
    /// [`SuperPinError::Operation`] when AWS-LC fails.
    pub fn lookup_id(&self) -> Result<LookupId, SuperPinError> {
        let mut id = [0; 16];
        self.expand(&[LOOKUP], &mut id)?;
        Ok(LookupId(id))
    }

    /// The P-256 key that answers the platform's challenge, of which the platform knows the public half: who steals its
    /// database cannot answer.
    ///
    /// # Errors
    /// [`SuperPinError::Operation`] when AWS-LC fails.
    pub fn authentication_key(&self) -> Result<PrivateKey, SuperPinError> {
        // A number that is no scalar of the curve comes once in 2³² times; then the next one counts.
        (0..=u8::MAX)
            .find_map(|attempt| self.candidate(attempt).transpose())
            .ok_or(SuperPinError::Operation)?
    }

    fn candidate(&self, attempt: u8) -> Result<Option<PrivateKey>, SuperPinError> {
        let mut pkcs8 = Zeroizing::new([0; P256_PREFIX.len() + 32]);
        let (prefix, scalar) = pkcs8.split_at_mut(P256_PREFIX.len());
        prefix.copy_from_slice(&P256_PREFIX);
        self.expand(&[AUTHENTICATION, &[attempt]], scalar)?;
        // EXPOSE: read into a key.
        Ok(PrivateKey::from_pkcs8(&*pkcs8).ok())
    }

    /// The key that its key bundle is wrapped with ([`crate::key_bundle`]).
    ///
    /// # Errors
    /// [`SuperPinError::Operation`] when AWS-LC fails.
    pub fn wrapping_key(&self) -> Result<Key256, SuperPinError> {
        Key256::init_with(|key| self.expand(&[WRAPPING], key))
    }

    fn expand(&self, info: &[&[u8]], out: &mut [u8]) -> Result<(), SuperPinError> {
        // EXPOSE: into the derivation.
        let prk: Prk = Salt::new(HKDF_SHA256, &[]).extract(self.0.expose());
        prk.expand(info, Length(out.len()))
            .and_then(|okm| okm.fill(out))
            .map_err(|_| SuperPinError::Operation)
    }
}

/// A length for aws-lc-rs' HKDF.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SuperPin, SuperPinError> {
        SuperPin::read(&SecretBytes::new(text.into()))
    }

    fn text(pin: &SuperPin) -> String {
        String::from_utf8(pin.write().unwrap().expose().to_vec()).unwrap()
    }

    /// The bytes 0 to 19. What comes of them is written down: another version of this code must find the same account.
    fn known() -> SuperPin {
        SuperPin(SecretBytes::new((0..20).collect()))
    }

    #[test]
    fn what_is_written_is_read_however_it_is_typed() {
        for pin in [known(), SuperPin::generate().unwrap(), SuperPin(SecretBytes::new(vec![0; 20]))] {
            let text = text(&pin);
            assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [3; 11]);
            let typed = [
                text.clone(),
                text.to_lowercase(),
                text.replace('-', ""),
                text.replace('-', " "),
                text.replace('-', "\u{2013}"),
                text.replace('-', "\r\n"),
                text.replace('0', "O"),
                text.replace('0', "o"),
                text.replace('1', "I"),
                text.replace('1', "l"),
                format!("\u{a0} {text}\n"),
            ];
            for typed in typed {
                assert!(read(&typed).unwrap().0.ct_eq(pin.0.expose()), "{typed}");
            }
        }
    }

    #[test]
    fn what_is_no_super_pin_says_why() {
        let text = text(&known());
        for (typed, error) in [
            (String::new(), SuperPinError::WrongLength),
            (text[..text.len() - 1].to_owned(), SuperPinError::WrongLength),
            (format!("{text}0"), SuperPinError::WrongLength),
            (text.replacen('0', "U", 1), SuperPinError::ForeignSymbol),
            (text.replacen('0', "*", 1), SuperPinError::ForeignSymbol),
            (text.replacen('0', "Ο", 1), SuperPinError::ForeignSymbol),
            (text.replacen('0', "2", 1), SuperPinError::Mistyped),
        ] {
            assert_eq!(read(&typed).err(), Some(error), "{typed}");
        }
        let no_text = SecretBytes::new(vec![0xff; 33]);
        assert_eq!(SuperPin::read(&no_text).err(), Some(SuperPinError::ForeignSymbol));
    }

    #[test]
    fn what_is_derived_stays_the_same_and_differs_from_one_another() {
        let pin = known();
        let hash = pin.authentication_key().unwrap().public_key().hash();
        assert_eq!(text(&pin), "000-G40-R40-M30-E20-918-5GR-38E-1W8-124-GKC");
        assert_eq!(hex::encode(pin.lookup_id().unwrap().0), "3e4950b6dfdcd062415b619631e24c29");
        assert_eq!(hex::encode(hash.0), "c5d8c5c2a4077d470e4cc0bbb324227dbe2fd64de4e148960789ca36792dfac6");
        assert_eq!(
            hex::encode(pin.wrapping_key().unwrap().expose()),
            "5eb2f7dd233079c1a9fc74dc19230cdb66b3a201b2d2b915093ac17627e8d927"
        );
        let other = SuperPin::generate().unwrap();
        assert_ne!(pin.lookup_id().unwrap(), other.lookup_id().unwrap());
        assert!(!pin.wrapping_key().unwrap().ct_eq(&other.wrapping_key().unwrap()));
    }

    #[test]
    fn its_key_signs() {
        let key = SuperPin::generate().unwrap().authentication_key().unwrap();
        let signature = key.sign(b"challenge").unwrap();
        assert_eq!(key.public_key().verify(b"challenge", &signature), Ok(()));
    }
}
