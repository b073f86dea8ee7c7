//! Software private keys. Every operation runs in AWS-LC, which is constant-time (FORMATS §2).

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PSS_SHA256, RsaKeyPair,
};
use aws_lc_rs::{agreement, rsa as lc_rsa};
use life_sys::secret::SecretBytes;
use rsa::pkcs8::DecodePrivateKey;
use zeroize::Zeroize;

use crate::key::{KeyAlgorithm, KeyError, PublicKey, encode_spki};

/// A private key in memory, of a working credential's slot or of a root credential.
///
/// It has no `Debug`, `Clone` or `Serialize`; [`PrivateKey::to_pkcs8`] is the only way out.
pub struct PrivateKey {
    public: PublicKey,
    secret: Secret,
    pkcs8: SecretBytes,
}

life_sys::secret_types!(PrivateKey);

enum Secret {
    /// Each key is used for one of the two, and takes its memory only for that.
    Rsa {
        sign: OnceLock<Box<RsaKeyPair>>,
        open: OnceLock<Box<OaepPrivateDecryptingKey>>,
    },
    P256 {
        sign: Box<EcdsaKeyPair>,
        agree: Box<agreement::PrivateKey>,
    },
}

life_sys::secret_types!(Secret);

impl PrivateKey {
    /// Generates an RSA key of 2048, 3072 or 4096 bits with exponent 65537.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for another size; [`KeyError::Operation`] when AWS-LC fails.
    pub fn generate_rsa(bits: u32) -> Result<Self, KeyError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => return Err(KeyError::Unsupported),
        };
        let pair = lc_rsa::KeyPair::generate(size).map_err(|_| KeyError::Operation)?;
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| KeyError::Operation)?;
        // EXPOSE: read back once, so that a generated and a stored key take the same path.
        Self::from_pkcs8(der.as_ref())
    }

    /// Generates a P-256 key.
    ///
    /// # Errors
    /// [`KeyError::Operation`] when AWS-LC fails.
    pub fn generate_p256() -> Result<Self, KeyError> {
        let pair =
            EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Operation)?;
        let der = pair.to_pkcs8v1().map_err(|_| KeyError::Operation)?;
        // EXPOSE: as above.
        Self::from_pkcs8(der.as_ref())
    }

    /// Reads a PKCS#8 PrivateKeyInfo (RFC 5208 §5) of the suite and checks that it is consistent.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::Unsupported`]; never says which part of a key was wrong.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let info = pkcs8::PrivateKeyInfoRef::try_from(pkcs8).map_err(|_| KeyError::Malformed)?;
        match info.algorithm.oid {
            crate::key::RSA_ENCRYPTION => Self::from_rsa(pkcs8),
            crate::key::EC_PUBLIC_KEY => Self::from_p256(pkcs8),
            _ => Err(KeyError::Unsupported),
        }
    }

    fn from_rsa(pkcs8: &[u8]) -> Result<Self, KeyError> {
        // Crate `rsa` validates the factors; its key is dropped (and wiped) before any private operation.
        rsa::RsaPrivateKey::from_pkcs8_der(pkcs8).map_err(|_| KeyError::Malformed)?;
        let sign = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError::Unsupported)?;
        // Both must work, whichever is asked for later.
        decrypting_key(pkcs8)?;
        let bits = u32::try_from(sign.public_modulus_len() * 8).map_err(|_| KeyError::Unsupported)?;
        let spki = encode_spki(KeyAlgorithm::Rsa { bits }, sign.public_key().as_ref())?;
        Ok(Self {
            public: PublicKey::from_spki(&spki)?,
            secret: Secret::Rsa { sign: OnceLock::new(), open: OnceLock::new() },
            // EXPOSE: kept for export into a software certificate or a root key seal.
            pkcs8: SecretBytes::new(pkcs8.to_vec()),
        })
    }

    fn from_p256(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let sign = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8)
            .map_err(|_| KeyError::Unsupported)?;
        let agree = agreement::PrivateKey::from_private_key_der(&agreement::ECDH_P256, pkcs8)
            .map_err(|_| KeyError::Unsupported)?;
        let spki = encode_spki(KeyAlgorithm::P256, sign.public_key().as_ref())?;
        Ok(Self {
            public: PublicKey::from_spki(&spki)?,
            secret: Secret::P256 { sign: Box::new(sign), agree: Box::new(agree) },
            // EXPOSE: as above.
            pkcs8: SecretBytes::new(pkcs8.to_vec()),
        })
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The key as a PKCS#8 PrivateKeyInfo, to be wrapped and stored.
    #[must_use]
    pub fn to_pkcs8(&self) -> &SecretBytes {
        &self.pkcs8
    }

    /// Signs once and gives nothing out: what AWS-LC keeps of a key it makes at the first use, and afterwards signing takes no
    /// memory that stays.
    ///
    /// # Errors
    /// [`KeyError::Operation`] when AWS-LC fails.
    pub fn prepare_to_sign(&self) -> Result<(), KeyError> {
        match &self.secret {
            Secret::Rsa { .. } => self.sign(b"").map(drop),
            Secret::P256 { .. } => Ok(()),
        }
    }

    /// The same for [`PrivateKey::oaep_decrypt`]; nothing for a key that is not RSA.
    ///
    /// # Errors
    /// [`KeyError::Operation`] when AWS-LC fails.
    pub fn prepare_to_open(&self) -> Result<(), KeyError> {
        let Secret::Rsa { open, .. } = &self.secret else { return Ok(()) };
        let length = self.opening_key(open)?.key_size_bytes();
        // A number that is in range and no ciphertext: it is computed with, and opens nothing.
        let mut number = vec![0; length];
        if let Some(last) = number.last_mut() {
            *last = 2;
        }
        let _nothing = self.oaep_decrypt(&number);
        Ok(())
    }

    fn signing_key<'a>(&self, sign: &'a OnceLock<Box<RsaKeyPair>>) -> Result<&'a RsaKeyPair, KeyError> {
        if let Some(key) = sign.get() {
            return Ok(key);
        }
        // EXPOSE: read into the key that AWS-LC signs with.
        let key = RsaKeyPair::from_pkcs8(self.pkcs8.expose()).map_err(|_| KeyError::Operation)?;
        Ok(sign.get_or_init(|| Box::new(key)))
    }

    fn opening_key<'a>(
        &self,
        open: &'a OnceLock<Box<OaepPrivateDecryptingKey>>,
    ) -> Result<&'a OaepPrivateDecryptingKey, KeyError> {
        if let Some(key) = open.get() {
            return Ok(key);
        }
        // EXPOSE: read into the key that AWS-LC decrypts with.
        let key = decrypting_key(self.pkcs8.expose()).map_err(|_| KeyError::Operation)?;
        Ok(open.get_or_init(|| Box::new(key)))
    }

    /// Signs a message: RSASSA-PSS (SHA-256, salt 32), or ECDSA P-256 SHA-256 in DER.
    ///
    /// # Errors
    /// [`KeyError::Operation`] when AWS-LC fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let rng = SystemRandom::new();
        match &self.secret {
            Secret::Rsa { sign, .. } => {
                let sign = self.signing_key(sign)?;
                let mut signature = vec![0; sign.public_modulus_len()];
                sign.sign(&RSA_PSS_SHA256, &rng, message, &mut signature).map_err(|_| KeyError::Operation)?;
                Ok(signature)
            }
            Secret::P256 { sign, .. } => {
                sign.sign(&rng, message).map(|s| s.as_ref().to_vec()).map_err(|_| KeyError::Operation)
            }
        }
    }

    /// Opens RSAES-OAEP with SHA-256, MGF1-SHA-256 and an empty label (RFC 8017 §7.1.2).
    ///
    /// # Errors
    /// [`KeyError::Operation`] for any ciphertext that does not open, and for a key that is not RSA. A caller that
    /// answers a remote party must go on with a random key instead of telling (FORMATS §3 rule 4).
    pub fn oaep_decrypt(&self, ciphertext: &[u8]) -> Result<SecretBytes, KeyError> {
        let Secret::Rsa { open, .. } = &self.secret else { return Err(KeyError::Operation) };
        let open = self.opening_key(open)?;
        let mut buffer = vec![0; open.min_output_size()];
        let plaintext = open
            .decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, &mut buffer, None)
            .map(|plaintext| plaintext.len());
        match plaintext {
            Ok(len) => {
                buffer[len..].zeroize();
                buffer.truncate(len);
                Ok(SecretBytes::new(buffer))
            }
            Err(_) => {
                buffer.zeroize();
                Err(KeyError::Operation)
            }
        }
    }

    /// Agrees on the ECDH P-256 shared secret (the x-coordinate, 32 bytes) with a peer's uncompressed point.
    ///
    /// # Errors
    /// [`KeyError::Operation`] for a point that is not on the curve and for a key that is not P-256.
    pub fn ecdh(&self, peer_point: &[u8]) -> Result<SecretBytes, KeyError> {
        let Secret::P256 { agree, .. } = &self.secret else { return Err(KeyError::Operation) };
        let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, peer_point);
        agreement::agree(agree, peer, KeyError::Operation, |shared| Ok(SecretBytes::new(shared.to_vec())))
    }
}

fn decrypting_key(pkcs8: &[u8]) -> Result<OaepPrivateDecryptingKey, KeyError> {
    let key = PrivateDecryptingKey::from_pkcs8(pkcs8).map_err(|_| KeyError::Unsupported)?;
    OaepPrivateDecryptingKey::new(key).map_err(|_| KeyError::Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_sign_and_verify() {
        for key in [PrivateKey::generate_rsa(2048).unwrap(), PrivateKey::generate_p256().unwrap()] {
            let signature = key.sign(b"message").unwrap();
            assert_eq!(key.public_key().verify(b"message", &signature), Ok(()));
            assert_eq!(key.public_key().verify(b"massage", &signature), Err(KeyError::BadSignature));
            let again = PrivateKey::from_pkcs8(key.to_pkcs8().expose()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
        }
    }

    #[test]
    fn ecdh_agrees() {
        let (a, b) = (PrivateKey::generate_p256().unwrap(), PrivateKey::generate_p256().unwrap());
        let ab = a.ecdh(b.public_key().bits()).unwrap();
        assert!(ab.ct_eq(b.ecdh(a.public_key().bits()).unwrap().expose()));
        assert!(a.ecdh(&[4; 65]).is_err());
    }
}
