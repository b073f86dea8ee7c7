//! RecipientInfo: one content key, wrapped to one root credential (RFC 5652 §6.2).

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use life_pki::key::{KeyAlgorithm, KeyError};
use life_pki::{PrivateKey, PublicKey, SpkiHash};
use life_sys::secret::{Key256, SecretBytes};

use crate::{ContentKey, Error, algorithm, asn1, ber, limits};

mod codec;

pub(crate) use codec::{issuer_serial, key_id, write_issuer_serial};

/// How a message names a recipient's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecipientId {
    /// By subjectKeyIdentifier: what we write, 32 bytes, SHA-256 of the SubjectPublicKeyInfo.
    KeyId(Vec<u8>),
    /// By issuer and serial number of a certificate, as OpenSSL writes by default.
    IssuerSerial {
        /// The issuer's Name, DER.
        issuer: Vec<u8>,
        /// The serial number: the contents of the INTEGER.
        serial: Vec<u8>,
    },
}

impl RecipientId {
    /// The key's hash, where the message names it by one.
    #[must_use]
    pub fn spki_hash(&self) -> Option<SpkiHash> {
        match self {
            Self::KeyId(id) => SpkiHash::from_slice(id),
            Self::IssuerSerial { .. } => None,
        }
    }
}

/// What finds one's own recipient: the key's hash and, for messages of other software, its certificate's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub hash: SpkiHash,
    /// Issuer (Name, DER) and serial number (contents of the INTEGER) of its certificate.
    pub issuer_serial: Option<(Vec<u8>, Vec<u8>)>,
}

impl OwnKey {
    /// Takes both names from the key's certificate, DER.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that are no certificate.
    pub fn from_certificate(der: &[u8]) -> Result<Self, Error> {
        let fields = crate::certificate::CertificateFields::read(der)?;
        let issuer_serial = Some((fields.issuer.to_vec(), fields.serial.to_vec()));
        Ok(Self { hash: SpkiHash::of(fields.spki), issuer_serial })
    }
}

/// One recipient of an envelope, RSA or P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientInfo {
    id: RecipientId,
    encrypted_key: Vec<u8>,
    method: Method,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Method {
    /// RSAES-OAEP.
    KeyTransport,
    /// ECDH with an ephemeral key.
    KeyAgreement {
        /// The sender's ephemeral point, uncompressed.
        point: Vec<u8>,
        /// User keying material, which some software adds.
        ukm: Option<Vec<u8>>,
        /// The key-wrap AlgorithmIdentifier as the sender wrote it.
        wrap: Vec<u8>,
    },
}

impl RecipientInfo {
    /// Wraps a content key to a root credential, named by its SHA-256.
    ///
    /// # Errors
    /// [`Error::Key`] when AWS-LC fails.
    pub fn wrap(key: &ContentKey, recipient: &PublicKey) -> Result<Self, Error> {
        let id = RecipientId::KeyId(recipient.hash().0.to_vec());
        // EXPOSE: this is the wrapping itself.
        let secret = key.expose();
        match recipient.algorithm() {
            KeyAlgorithm::Rsa { .. } => {
                let encrypted_key = recipient.oaep_encrypt(secret)?;
                Ok(Self { id, encrypted_key, method: Method::KeyTransport })
            }
            KeyAlgorithm::P256 => {
                let (point, shared) = recipient.agree_ephemeral()?;
                let wrap = algorithm::aes256_wrap();
                let kek = derive_kek(&shared, &wrap, None)?;
                let mut encrypted_key = vec![0; secret.len() + 8];
                // EXPOSE: the key-encryption key goes into its cipher.
                AesKek::new(&AES_256, kek.expose())
                    .and_then(|kek| kek.wrap(secret, &mut encrypted_key).map(|_| ()))
                    .map_err(|_| KeyError::Operation)?;
                Ok(Self { id, encrypted_key, method: Method::KeyAgreement { point, ukm: None, wrap } })
            }
        }
    }

    /// Reads one RecipientInfo, DER or BER. A key agreement must have exactly one recipient here.
    ///
    /// # Errors
    /// [`Error::Malformed`], [`Error::TooLarge`] or [`Error::Refused`].
    pub fn from_der(bytes: &[u8]) -> Result<Self, Error> {
        let der = ber::to_der(bytes, limits::MAX_RECIPIENT_INFO)?;
        let mut found = Vec::new();
        codec::read(&der, &mut found)?;
        match (found.pop(), found.pop()) {
            (Some(one), None) => Ok(one),
            _ => Err(Error::Malformed),
        }
    }

    /// Reads one RecipientInfo of an envelope; a key agreement may hold several recipients.
    pub(crate) fn read(der: &[u8], found: &mut Vec<Self>) -> Result<(), Error> {
        codec::read(der, found)
    }

    /// The DER form, with this recipient alone.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        codec::write(self)
    }

    #[cfg(test)]
    pub(crate) fn with_id(self, id: RecipientId) -> Self {
        Self { id, ..self }
    }

    /// Whom it is for.
    #[must_use]
    pub fn id(&self) -> &RecipientId {
        &self.id
    }

    /// Whether it names this key.
    #[must_use]
    pub fn is_for(&self, own: &OwnKey) -> bool {
        match (&self.id, &own.issuer_serial) {
            (RecipientId::KeyId(id), _) => id.as_slice() == own.hash.0,
            (RecipientId::IssuerSerial { issuer, serial }, Some((own_issuer, own_serial))) => {
                issuer == own_issuer && serial == own_serial
            }
            (RecipientId::IssuerSerial { .. }, None) => false,
        }
    }
}

/// Unwraps a content key: one attempt, and on any failure a random key instead (FORMATS §3 rule 4).
///
/// # Errors
/// [`Error::Key`] when the random number generator fails; never because of the RecipientInfo.
pub fn unwrap(info: &RecipientInfo, key: &PrivateKey) -> Result<ContentKey, Error> {
    // Drawn before the attempt, so that success and failure take the same steps.
    let random = ContentKey::generate()?;
    let opened = match &info.method {
        Method::KeyTransport => key.oaep_decrypt(&info.encrypted_key).ok(),
        Method::KeyAgreement { point, ukm, wrap } => {
            unwrap_agreed(key, point, ukm.as_deref(), wrap, &info.encrypted_key).ok()
        }
    };
    // EXPOSE: moved into the content key; another length than 32 counts as a failure.
    let opened = opened.and_then(|bytes| Key256::from_slice(bytes.expose()));
    Ok(opened.map_or(random, ContentKey::new))
}

fn unwrap_agreed(
    key: &PrivateKey,
    point: &[u8],
    ukm: Option<&[u8]>,
    wrap: &[u8],
    encrypted_key: &[u8],
) -> Result<SecretBytes, Error> {
    let shared = key.ecdh(point)?;
    let kek = derive_kek(&shared, wrap, ukm)?;
    unwrap_aes(&kek, encrypted_key)
}

/// AES-256 key wrap (RFC 3394 §2.2.2) of a key of 32 bytes.
pub(crate) fn unwrap_aes(kek: &Key256, wrapped: &[u8]) -> Result<SecretBytes, Error> {
    if wrapped.len() != 40 {
        return Err(Error::DecryptionFailed);
    }
    SecretBytes::init_with(32, |out| {
        // EXPOSE: the key-encryption key goes into its cipher.
        AesKek::new(&AES_256, kek.expose())
            .and_then(|kek| kek.unwrap(wrapped, out).map(|_| ()))
            .map_err(|_| Error::DecryptionFailed)
    })
}

/// X9.63 KDF with SHA-256 over ECC-CMS-SharedInfo (RFC 5753 §7.2); one block is exactly the key-encryption key.
fn derive_kek(shared: &SecretBytes, wrap: &[u8], ukm: Option<&[u8]>) -> Result<Key256, Error> {
    const KEK_BITS: u32 = 256;
    let ukm = ukm.map(|ukm| asn1::tlv(asn1::context(0), &[&asn1::octets(ukm)])).unwrap_or_default();
    let bits = asn1::tlv(asn1::context(2), &[&asn1::octets(&KEK_BITS.to_be_bytes())]);
    let info = asn1::sequence(&[wrap, &ukm, &bits]);
    let mut hash = Context::new(&SHA256);
    // EXPOSE: the shared secret goes into its derivation function.
    hash.update(shared.expose());
    hash.update(&1u32.to_be_bytes());
    hash.update(&info);
    Key256::from_slice(hash.finish().as_ref()).ok_or(Error::Key(KeyError::Operation))
}
