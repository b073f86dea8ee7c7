//! Public keys of the two families the suite knows: RSA and P-256 (FORMATS §2).

use std::fmt;

use aws_lc_rs::agreement;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use der::{Decode, Encode};
use life_sys::secret::SecretBytes;
use rsa::pkcs1::{DecodeRsaPublicKey, EncodeRsaPublicKey};
use rsa::traits::PublicKeyParts;
use spki::SubjectPublicKeyInfoRef;
use spki::der::asn1::ObjectIdentifier;

/// rsaEncryption, RFC 8017 appendix C.
pub const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// id-ecPublicKey, RFC 5480 §2.1.1.
pub const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// secp256r1 (P-256), RFC 5480 §2.1.1.1.
pub const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

const MIN_RSA_BITS: usize = 2048;
const MAX_RSA_BITS: usize = 4096;

/// Why a public key or a signature by it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are not a SubjectPublicKeyInfo or PKCS#8 structure.
    #[error("the key is not well-formed")]
    Malformed,
    /// Another algorithm, curve, size or exponent than the suite allows.
    #[error("the key is not RSA of 2048 to 4096 bits with exponent 65537 or more, nor P-256")]
    Unsupported,
    /// The signature does not belong to this key and message.
    #[error("the signature does not verify")]
    BadSignature,
    /// The key cannot do what was asked of it, or the operation failed.
    #[error("the key operation failed")]
    Operation,
}

/// SHA-256 of a DER SubjectPublicKeyInfo: how account logs, contexts and recipients name a key.
///
/// Our certificates carry the same 32 bytes as subjectKeyIdentifier (RFC 7093 §2, method 4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpkiHash(pub [u8; 32]);

impl SpkiHash {
    /// Hashes a DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn of(spki_der: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, spki_der).as_ref());
        Self(hash)
    }

    /// Takes a slice of exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for SpkiHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for SpkiHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SpkiHash({self})")
    }
}

/// The family a key belongs to, with its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// RSA with a modulus of so many bits.
    Rsa {
        /// Modulus size in bits, 2048 to 4096.
        bits: u32,
    },
    /// ECDSA and ECDH on P-256.
    P256,
}

/// A public key that passed the suite's checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    spki: Vec<u8>,
    bits: Vec<u8>,
}

impl PublicKey {
    /// Reads and checks a DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] for bytes that are no such structure, [`KeyError::Unsupported`] for any key
    /// outside the suite of FORMATS §2 and for another spelling than the usual one (RFC 3279 §2.3.1, RFC 5480 §2.1).
    pub fn from_spki(spki_der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(spki_der).map_err(|_| KeyError::Malformed)?;
        let bits = info.subject_public_key.as_bytes().ok_or(KeyError::Malformed)?;
        let algorithm = match info.algorithm.oid {
            RSA_ENCRYPTION => rsa_algorithm(bits)?,
            EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters_oid().map_err(|_| KeyError::Unsupported)?;
                // An uncompressed point, SEC 1 §2.3.3; AWS-LC checks that it lies on the curve.
                if curve != P256 || bits.len() != 65 || bits[0] != 4 {
                    return Err(KeyError::Unsupported);
                }
                agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, bits)
                    .try_into()
                    .map(|_: agreement::ParsedPublicKey| KeyAlgorithm::P256)
                    .map_err(|_| KeyError::Malformed)?
            }
            _ => return Err(KeyError::Unsupported),
        };
        // One spelling per key, or one key could have two names.
        if encode_spki(algorithm, bits)? != spki_der {
            return Err(KeyError::Unsupported);
        }
        Ok(Self { algorithm, spki: spki_der.to_vec(), bits: bits.to_vec() })
    }

    /// Makes a key of an RSA modulus and exponent, as cards give them.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki`].
    pub fn from_modulus(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let [modulus, exponent] = [modulus, exponent].map(rsa::BigUint::from_bytes_be);
        let key = rsa::RsaPublicKey::new(modulus, exponent).map_err(|_| KeyError::Unsupported)?;
        let bits = key.to_pkcs1_der().map_err(|_| KeyError::Malformed)?;
        Self::from_spki(&encode_spki(rsa_algorithm(bits.as_bytes())?, bits.as_bytes())?)
    }

    /// Makes a key of an uncompressed point of P-256 (SEC 1 §2.3.3), as cards give them.
    ///
    /// # Errors
    /// As [`PublicKey::from_spki`].
    pub fn from_point(point: &[u8]) -> Result<Self, KeyError> {
        Self::from_spki(&encode_spki(KeyAlgorithm::P256, point)?)
    }

    /// The family and size.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The contents of the BIT STRING: a PKCS#1 RSAPublicKey, or an uncompressed P-256 point.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// SHA-256 of the DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn hash(&self) -> SpkiHash {
        SpkiHash::of(&self.spki)
    }

    /// Verifies a signature of the suite: RSASSA-PSS (SHA-256, salt 32) or ECDSA P-256 SHA-256 in DER.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`], whatever the cause.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        match self.algorithm {
            KeyAlgorithm::Rsa { .. } => {
                UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &self.bits).verify(message, signature)
            }
            KeyAlgorithm::P256 => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.bits).verify(message, signature)
            }
        }
        .map_err(|_| KeyError::BadSignature)
    }

    /// Encrypts with RSAES-OAEP, SHA-256, MGF1-SHA-256 and an empty label (RFC 8017 §7.1.1).
    ///
    /// # Errors
    /// [`KeyError::Operation`] for a key that is not RSA, for more bytes than fit, and when AWS-LC fails.
    pub fn oaep_encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, KeyError> {
        if self.algorithm == KeyAlgorithm::P256 {
            return Err(KeyError::Operation);
        }
        let key = PublicEncryptingKey::from_der(&self.spki).map_err(|_| KeyError::Operation)?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| KeyError::Operation)?;
        let mut ciphertext = vec![0; key.ciphertext_size()];
        key.encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut ciphertext, None)
            .map_err(|_| KeyError::Operation)?;
        Ok(ciphertext)
    }

    /// Draws an ephemeral P-256 key and agrees with this one by ECDH: gives the ephemeral key's uncompressed point and
    /// the shared secret (the x-coordinate, 32 bytes).
    ///
    /// # Errors
    /// [`KeyError::Operation`] for a key that is not P-256, and when AWS-LC fails.
    pub fn agree_ephemeral(&self) -> Result<(Vec<u8>, SecretBytes), KeyError> {
        if self.algorithm != KeyAlgorithm::P256 {
            return Err(KeyError::Operation);
        }
        let ephemeral =
            agreement::PrivateKey::generate(&agreement::ECDH_P256).map_err(|_| KeyError::Operation)?;
        let point = ephemeral.compute_public_key().map_err(|_| KeyError::Operation)?;
        let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P256, &self.bits);
        agreement::agree(&ephemeral, peer, KeyError::Operation, |shared| {
            Ok((point.as_ref().to_vec(), SecretBytes::new(shared.to_vec())))
        })
    }
}

/// Crate `rsa` parses the key and refuses oddities before AWS-LC sees it.
fn rsa_algorithm(pkcs1: &[u8]) -> Result<KeyAlgorithm, KeyError> {
    let key = rsa::RsaPublicKey::from_pkcs1_der(pkcs1).map_err(|_| KeyError::Unsupported)?;
    let bits = key.n().bits();
    let exponent_ok = key.e() >= &rsa::BigUint::from(65_537u32);
    if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits) || !exponent_ok {
        return Err(KeyError::Unsupported);
    }
    Ok(KeyAlgorithm::Rsa { bits: u32::try_from(bits).map_err(|_| KeyError::Unsupported)? })
}

/// Builds a DER SubjectPublicKeyInfo from an algorithm and the contents of its BIT STRING.
pub(crate) fn encode_spki(algorithm: KeyAlgorithm, bits: &[u8]) -> Result<Vec<u8>, KeyError> {
    let curve;
    let (oid, parameters) = match algorithm {
        KeyAlgorithm::Rsa { .. } => (RSA_ENCRYPTION, der::asn1::AnyRef::NULL),
        KeyAlgorithm::P256 => {
            curve = P256;
            (EC_PUBLIC_KEY, der::asn1::AnyRef::from(&curve))
        }
    };
    let info = SubjectPublicKeyInfoRef {
        algorithm: spki::AlgorithmIdentifierRef { oid, parameters: Some(parameters) },
        subject_public_key: der::asn1::BitStringRef::from_bytes(bits).map_err(|_| KeyError::Malformed)?,
    };
    info.to_der().map_err(|_| KeyError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrivateKey;

    #[test]
    fn a_key_has_one_spelling() {
        for key in [PrivateKey::generate_rsa(2048).unwrap(), PrivateKey::generate_p256().unwrap()] {
            let public = key.public_key();
            assert_eq!(PublicKey::from_spki(public.spki()).as_ref(), Ok(public));
            assert!(PublicKey::from_spki(&[public.spki(), &[0]].concat()).is_err());
            let from_parts = match public.algorithm() {
                KeyAlgorithm::P256 => PublicKey::from_point(public.bits()),
                KeyAlgorithm::Rsa { .. } => {
                    let key = rsa::RsaPublicKey::from_pkcs1_der(public.bits()).unwrap();
                    PublicKey::from_modulus(&key.n().to_bytes_be(), &key.e().to_bytes_be())
                }
            };
            assert_eq!(from_parts.as_ref(), Ok(public));
        }
        let key = PrivateKey::generate_rsa(2048).unwrap();
        let without_null = SubjectPublicKeyInfoRef {
            algorithm: spki::AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: None },
            subject_public_key: der::asn1::BitStringRef::from_bytes(key.public_key().bits()).unwrap(),
        };
        let verdict = PublicKey::from_spki(&without_null.to_der().unwrap());
        assert_eq!(verdict, Err(KeyError::Unsupported));
    }

    #[test]
    fn keys_outside_the_suite_are_refused() {
        let modulus = (rsa::BigUint::from(1u32) << 1023) + 1u32;
        let small = rsa::RsaPublicKey::new(modulus, 65_537u32.into()).unwrap();
        let small = small.to_pkcs1_der().unwrap();
        let spki = encode_spki(KeyAlgorithm::Rsa { bits: 1024 }, small.as_bytes()).unwrap();
        assert_eq!(PublicKey::from_spki(&spki), Err(KeyError::Unsupported));

        let modulus = (rsa::BigUint::from(1u32) << 2047) + 1u32;
        let weak = rsa::RsaPublicKey::new(modulus, 3u32.into()).unwrap();
        let weak = weak.to_pkcs1_der().unwrap();
        let spki = encode_spki(KeyAlgorithm::Rsa { bits: 2048 }, weak.as_bytes()).unwrap();
        assert_eq!(PublicKey::from_spki(&spki), Err(KeyError::Unsupported), "exponent 3");

        let mut point = [7; 65];
        point[0] = 4;
        let spki = encode_spki(KeyAlgorithm::P256, &point).unwrap();
        assert_eq!(PublicKey::from_spki(&spki), Err(KeyError::Malformed), "not on the curve");
    }
}
