//! The root key seal: one generation of a root credential, sealed to one working credential (FORMATS §6).

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use life_pki::key::KeyError;
use life_pki::{PrivateKey, PublicKey, Uid};
use life_sys::secret::{Key256, SecretBytes};
use zeroize::Zeroizing;

use crate::asn1::{self, Parser, SEQUENCE};
use crate::challenge::open_sole;
use crate::context::{VERSION, read_uid, read_version};
use crate::{Error, envelope};

/// What the pin store's key is derived for.
const PIN_STORE: &[u8] = b"LIFE pin store v1";

/// What a root key seal holds.
pub struct RootKeySeal {
    /// Whose root credential it is.
    pub uid: Uid,
    /// The working credential it is sealed to.
    pub credential_id: [u8; 16],
    /// The root credential's generation.
    pub generation: u64,
    /// The root credential's private key, PKCS#8.
    pub root_key: SecretBytes,
    /// The key that older root credentials and the pin store's MAC come from.
    pub history_key: Key256,
}

life_sys::secret_types!(RootKeySeal);

impl RootKeySeal {
    /// Seals to a working credential's encryption key. Returns an envelope, DER.
    ///
    /// # Errors
    /// [`Error::Key`] when AWS-LC fails.
    pub fn seal(&self, key: &PublicKey) -> Result<Vec<u8>, Error> {
        envelope::seal(&self.to_der(), std::slice::from_ref(key)).map(|(envelope, _)| envelope)
    }

    /// Opens a seal: exactly one recipient, which is this key.
    ///
    /// Whether the root key matches the account log is the vault's to judge.
    ///
    /// # Errors
    /// [`Error::NotARecipient`] for a seal to another key, [`Error::DecryptionFailed`] for one that does not open,
    /// whatever the cause, or whose payload is not well-formed.
    pub fn open(envelope: &[u8], key: &PrivateKey) -> Result<Self, Error> {
        let content = open_sole(envelope, key)?;
        Self::from_der(&content).map_err(|_| Error::DecryptionFailed)
    }

    fn to_der(&self) -> Zeroizing<Vec<u8>> {
        // EXPOSE: both keys go into the content that is sealed; the intermediate pieces are wiped.
        let root_key = Zeroizing::new(asn1::octets(self.root_key.expose()));
        let history_key = Zeroizing::new(asn1::octets(self.history_key.expose()));
        Zeroizing::new(asn1::sequence(&[
            &asn1::unsigned(VERSION),
            &asn1::octets(self.uid.as_bytes()),
            &asn1::octets(&self.credential_id),
            &asn1::unsigned(self.generation),
            &root_key,
            &history_key,
        ]))
    }

    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Error> {
        let mut parser = Parser::only(der, SEQUENCE)?;
        read_version(&mut parser)?;
        let uid = read_uid(&mut parser)?;
        let credential_id = parser.octet_array()?;
        let generation = parser.unsigned()?;
        let root_key = SecretBytes::new(parser.octets()?.to_vec());
        let history_key = Key256::from_slice(parser.octets()?).ok_or(Error::Malformed)?;
        parser.finish()?;
        Ok(Self { uid, credential_id, generation, root_key, history_key })
    }
}

/// The key of the pin store's MAC: HKDF-SHA256 of the history key.
///
/// # Errors
/// [`Error::Key`] when AWS-LC fails.
pub fn derive_pin_key(history_key: &Key256) -> Result<Key256, Error> {
    // EXPOSE: the history key goes into its derivation function.
    derive(history_key.expose(), &[], PIN_STORE)
}

/// A length for aws-lc-rs' HKDF.
struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA256 (RFC 5869) with 32 bytes of output.
pub(crate) fn derive(key: &[u8], salt: &[u8], info: &[u8]) -> Result<Key256, Error> {
    let info = [info];
    Key256::init_with(|out| {
        let prk = Salt::new(HKDF_SHA256, salt).extract(key);
        prk.expand(&info, Bytes32).and_then(|okm| okm.fill(out)).map_err(|_| KeyError::Operation.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_working_credential_opens_it() {
        let root = PrivateKey::generate_p256().unwrap();
        let seal = RootKeySeal {
            uid: Uid::from_random([1; 16]),
            credential_id: [2; 16],
            generation: 3,
            // EXPOSE: test key.
            root_key: SecretBytes::new(root.to_pkcs8().expose().to_vec()),
            history_key: Key256::take(&mut [4; 32]),
        };
        let key = PrivateKey::generate_rsa(2048).unwrap();
        let sealed = seal.seal(key.public_key()).unwrap();
        let opened = RootKeySeal::open(&sealed, &key).unwrap();
        assert_eq!((opened.uid, opened.credential_id, opened.generation), (seal.uid, [2; 16], 3));
        assert!(
            opened.root_key.ct_eq(root.to_pkcs8().expose()) && opened.history_key.ct_eq(&seal.history_key)
        );
        assert_eq!(RootKeySeal::open(&sealed, &root).err(), Some(Error::NotARecipient));
        let challenge =
            crate::challenge::seal(&[0; 32], seal.uid, life_pki::KeySlot::Encryption, key.public_key());
        assert_eq!(RootKeySeal::open(&challenge.unwrap(), &key).err(), Some(Error::DecryptionFailed));
    }

    #[test]
    fn hkdf_matches_rfc_5869_a_1() {
        let salt = hex::decode("000102030405060708090a0b0c").unwrap();
        let okm = derive(&[0x0b; 22], &salt, &hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap()).unwrap();
        let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf";
        assert_eq!(hex::encode(okm.expose()), expected);
    }
}
