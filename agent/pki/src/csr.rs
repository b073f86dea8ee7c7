//! Certification requests (PKCS#10, RFC 2986) for the two slots whose keys sign.
//!
//! Encryption and root keys sign nothing, not even a request: they prove possession by opening a challenge
//! (FORMATS §4).

use const_oid::db::rfc5912::{ECDSA_WITH_SHA_256, ID_MGF_1, ID_RSASSA_PSS, ID_SHA_256};
use der::asn1::{Any, AnyRef, BitString, SetOfVec};
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq, Version};

use crate::asn1::decode_canonical;
use crate::key::{KeyAlgorithm, KeyError, PublicKey};
use crate::kind::KeySlot;
use crate::profile::{self, Identity, ProfileError};
use crate::uid::Uid;

/// The most bytes a request may have. RSA-4096 makes about 1,400.
pub const MAX_REQUEST_SIZE: usize = 4096;

const SALT_LENGTH: u8 = 32;

/// Why a request is refused or cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Not the DER encoding of a request, or longer than [`MAX_REQUEST_SIZE`].
    #[error("the certification request is not well-formed")]
    Malformed,
    /// A signature algorithm other than the one of the suite for this key.
    #[error("the certification request is signed by another algorithm than the suite's")]
    Algorithm,
    /// The key is outside the suite, or the signature is not by it.
    #[error("the certification request's key or signature is refused: {0}")]
    Key(#[from] KeyError),
    /// What it asks for is not a profile's.
    #[error("the certification request does not follow a profile: {0}")]
    Profile(#[from] ProfileError),
    /// The slot's key must not sign, so there can be no request.
    #[error("the keys of this slot do not sign requests")]
    Slot,
}

impl From<der::Error> for CsrError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// A verified request: who asks for a certificate for which slot and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The user.
    pub uid: Uid,
    /// The slot: authentication or signature.
    pub slot: KeySlot,
    /// The key, whose possession the signature proves.
    pub public_key: PublicKey,
}

/// RSASSA-PSS-params, RFC 4055 §3.1, as the suite has them.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    hash: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT")]
    mask: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT")]
    salt_length: u8,
}

/// The part of a request that is signed (CertificationRequestInfo).
///
/// # Errors
/// [`CsrError::Slot`] for a slot whose keys do not sign.
pub fn to_be_signed(uid: &Uid, slot: KeySlot, key: &PublicKey) -> Result<Vec<u8>, CsrError> {
    check_slot(slot)?;
    let extensions = ExtensionReq(profile::requested_extensions(uid, slot, key)?);
    let mut attributes = SetOfVec::new();
    attributes.insert(Attribute::try_from(extensions)?)?;
    let info = CertReqInfo {
        version: Version::V1,
        subject: profile::subject(uid, slot)?,
        public_key: SubjectPublicKeyInfoOwned::from_der(key.spki())?,
        attributes,
    };
    Ok(info.to_der()?)
}

/// Puts a request together from its signed part and the signature over it.
///
/// # Errors
/// [`CsrError::Malformed`] for a part that is none; the signature is not checked.
pub fn assemble(to_be_signed: &[u8], key: &PublicKey, signature: &[u8]) -> Result<Vec<u8>, CsrError> {
    let request = CertReq {
        info: CertReqInfo::from_der(to_be_signed)?,
        algorithm: signature_algorithm(key.algorithm())?,
        signature: BitString::from_bytes(signature)?,
    };
    Ok(request.to_der()?)
}

/// Reads a request, verifies its signature, and judges everything in it.
///
/// # Errors
/// [`CsrError`].
pub fn verify(der: &[u8]) -> Result<Request, CsrError> {
    if der.len() > MAX_REQUEST_SIZE {
        return Err(CsrError::Malformed);
    }
    let request: CertReq = decode_canonical(der)?;
    let public_key = PublicKey::from_spki(&request.info.public_key.to_der()?)?;
    if request.algorithm != signature_algorithm(public_key.algorithm())? {
        return Err(CsrError::Algorithm);
    }
    let signature = request.signature.as_bytes().ok_or(CsrError::Malformed)?;
    public_key.verify(&request.info.to_der()?, signature)?;
    let extensions = requested_extensions(&request.info)?;
    let Identity { uid, slot } = profile::identify_parts(&request.info.subject, &extensions, &public_key)?;
    check_slot(slot)?;
    Ok(Request { uid, slot, public_key })
}

/// The algorithm identifier of a signature of the suite.
///
/// RSASSA-PSS carries its parameters explicitly (RFC 4055 §3.1): SHA-256, MGF1 with SHA-256, salt of 32 bytes.
///
/// # Errors
/// [`CsrError::Malformed`] when the encoder fails, which it does not.
pub fn signature_algorithm(key: KeyAlgorithm) -> Result<AlgorithmIdentifierOwned, CsrError> {
    if key == KeyAlgorithm::P256 {
        return Ok(AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA_256, parameters: None });
    }
    let sha256 = AlgorithmIdentifierOwned { oid: ID_SHA_256, parameters: Some(Any::from(AnyRef::NULL)) };
    let parameters = PssParameters {
        hash: sha256.clone(),
        mask: AlgorithmIdentifierOwned { oid: ID_MGF_1, parameters: Some(Any::encode_from(&sha256)?) },
        salt_length: SALT_LENGTH,
    };
    Ok(AlgorithmIdentifierOwned { oid: ID_RSASSA_PSS, parameters: Some(Any::encode_from(&parameters)?) })
}

/// The extensions of the one extensionRequest attribute (RFC 2985 §5.4.2); other attributes are refused.
fn requested_extensions(info: &CertReqInfo) -> Result<Vec<Extension>, CsrError> {
    let attribute = profile::only(&info.attributes).ok_or(ProfileError::Extensions)?;
    let value = profile::only(&attribute.values).ok_or(ProfileError::Extensions)?;
    if attribute.oid != const_oid::db::rfc5912::ID_EXTENSION_REQ {
        return Err(ProfileError::Extensions.into());
    }
    Ok(value.decode_as::<Vec<Extension>>()?)
}

fn check_slot(slot: KeySlot) -> Result<(), CsrError> {
    match slot {
        KeySlot::Authentication | KeySlot::Signature => Ok(()),
        KeySlot::Encryption | KeySlot::Root => Err(CsrError::Slot),
    }
}
