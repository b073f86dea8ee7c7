//! The AlgorithmIdentifiers of the suite, written and recognised (FORMATS §2).

use life_pki::PublicKey;
use life_pki::key::KeyAlgorithm;

use crate::asn1::{self, Algorithm, Parser, SEQUENCE, context};
use crate::{Error, Refusal, SignatureFault, oid};

/// Bytes of an AES-GCM nonce.
pub(crate) const NONCE: usize = 12;
/// Bytes of an AES-GCM tag.
pub(crate) const TAG: usize = 16;

/// The two signature algorithms of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes.
    RsaPss,
    /// ECDSA on P-256 with SHA-256.
    EcdsaP256,
}

impl SignatureAlgorithm {
    /// The algorithm a key signs with.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        match key.algorithm() {
            KeyAlgorithm::Rsa { .. } => Self::RsaPss,
            KeyAlgorithm::P256 => Self::EcdsaP256,
        }
    }

    /// The contents of its AlgorithmIdentifier.
    pub(crate) fn contents(self) -> Vec<u8> {
        match self {
            Self::RsaPss => [
                asn1::oid(&oid::RSASSA_PSS),
                asn1::sequence(&[
                    &asn1::tlv(context(0), &[&sha256_with_null()]),
                    &asn1::tlv(context(1), &[&mgf1()]),
                    &asn1::tlv(context(2), &[&asn1::unsigned(32)]),
                ]),
            ]
            .concat(),
            Self::EcdsaP256 => asn1::oid(&oid::ECDSA_WITH_SHA256),
        }
    }

    pub(crate) fn recognise(algorithm: &Algorithm<'_>) -> Result<Self, Error> {
        let known = match algorithm.oid {
            oid::RSASSA_PSS => pss_is_ours(algorithm.parameters)?.then_some(Self::RsaPss),
            oid::ECDSA_WITH_SHA256 => algorithm.has_no_parameters().then_some(Self::EcdsaP256),
            _ => None,
        };
        known.ok_or(Error::Signature(SignatureFault::Algorithm))
    }
}

/// SHA-256 without parameters, as digest algorithms are written (RFC 5754 §2).
pub(crate) fn sha256() -> Vec<u8> {
    asn1::algorithm(&oid::SHA256, None)
}

/// SHA-256 with NULL, as it stands in the parameters of RSA algorithms (RFC 4055 §2.1).
fn sha256_with_null() -> Vec<u8> {
    asn1::algorithm(&oid::SHA256, Some(asn1::NULL))
}

fn mgf1() -> Vec<u8> {
    asn1::algorithm(&oid::MGF1, Some(&sha256_with_null()))
}

pub(crate) fn is_sha256(algorithm: &Algorithm<'_>) -> bool {
    algorithm.oid == oid::SHA256 && algorithm.has_no_parameters()
}

/// Whether `[0]` and `[1]` of OAEP or PSS parameters say SHA-256 and MGF1-SHA-256 (RFC 4055 §3.1, §4.1). Their
/// defaults are SHA-1, so both must be there.
fn hash_and_mask_are_ours(parameters: &mut Parser<'_>) -> Result<bool, Error> {
    let (Some(hash), Some(mask)) = (parameters.optional(context(0))?, parameters.optional(context(1))?)
    else {
        return Ok(false);
    };
    let mut hash = Parser::new(hash)?;
    let hash_ok = is_sha256(&hash.algorithm()?);
    hash.finish()?;
    let mut mask = Parser::new(mask)?;
    let mgf = mask.algorithm()?;
    mask.finish()?;
    let mask_ok = match mgf.parameters {
        Some(inner) if mgf.oid == oid::MGF1 => is_sha256(&Algorithm::read(Parser::only(inner, SEQUENCE)?)?),
        _ => false,
    };
    Ok(hash_ok && mask_ok)
}

fn pss_is_ours(parameters: Option<&[u8]>) -> Result<bool, Error> {
    let Some(parameters) = parameters else { return Ok(false) };
    let mut parameters = Parser::only(parameters, SEQUENCE)?;
    if !hash_and_mask_are_ours(&mut parameters)? {
        return Ok(false);
    }
    let Some(salt) = parameters.optional(context(2))? else { return Ok(false) };
    let salt_ok = Parser::new(salt)?.unsigned()? == 32;
    // The trailer field has one legal value, 1, which is its default.
    let trailer_ok = match parameters.optional(context(3))? {
        Some(trailer) => Parser::new(trailer)?.unsigned()? == 1,
        None => true,
    };
    parameters.finish()?;
    Ok(salt_ok && trailer_ok)
}

/// RSAES-OAEP with SHA-256, MGF1-SHA-256 and the empty label.
pub(crate) fn oaep() -> Vec<u8> {
    let parameters =
        asn1::sequence(&[&asn1::tlv(context(0), &[&sha256_with_null()]), &asn1::tlv(context(1), &[&mgf1()])]);
    asn1::algorithm(&oid::RSAES_OAEP, Some(&parameters))
}

/// Accepts the suite's key transport only.
pub(crate) fn check_key_transport(algorithm: &Algorithm<'_>) -> Result<(), Error> {
    match algorithm.oid {
        oid::RSA_ENCRYPTION => return Err(Refusal::Pkcs1v15.into()),
        oid::RSAES_OAEP => {}
        _ => return Err(Refusal::KeyTransport.into()),
    }
    let Some(parameters) = algorithm.parameters else { return Err(Refusal::KeyTransport.into()) };
    let mut parameters = Parser::only(parameters, SEQUENCE)?;
    let ours = hash_and_mask_are_ours(&mut parameters)?;
    let label_ok = match parameters.optional(context(2))? {
        Some(source) => {
            let source = Parser::new(source)?.algorithm()?;
            source.oid == oid::P_SPECIFIED && source.parameters.is_none_or(|label| label == [0x04, 0x00])
        }
        None => true,
    };
    parameters.finish()?;
    if ours && label_ok { Ok(()) } else { Err(Refusal::KeyTransport.into()) }
}

/// id-aes256-wrap: parameters absent (RFC 3565 §2.3.2).
pub(crate) fn aes256_wrap() -> Vec<u8> {
    asn1::algorithm(&oid::AES256_WRAP, None)
}

/// Accepts the suite's key agreement only; gives the key-wrap AlgorithmIdentifier as it stands, because it is hashed
/// into the key-encryption key.
pub(crate) fn check_key_agreement<'a>(algorithm: &Algorithm<'a>) -> Result<&'a [u8], Error> {
    let refused = Error::Refused(Refusal::KeyAgreement);
    let wrap = algorithm.parameters.filter(|_| algorithm.oid == oid::ECDH_SHA256KDF).ok_or(refused)?;
    let parsed = Algorithm::read(Parser::only(wrap, SEQUENCE)?)?;
    if parsed.oid == oid::AES256_WRAP && parsed.has_no_parameters() { Ok(wrap) } else { Err(refused) }
}

/// AES-256-GCM with this nonce and a tag of 16 bytes (RFC 5084 §3.2).
pub(crate) fn aes256_gcm(nonce: &[u8; NONCE]) -> Vec<u8> {
    let parameters = asn1::sequence(&[&asn1::octets(nonce), &asn1::unsigned(TAG as u64)]);
    asn1::algorithm(&oid::AES256_GCM, Some(&parameters))
}

/// Accepts AES-256-GCM, nonce 12, ICVlen 16 only (FORMATS §3 rule 3); gives the nonce.
pub(crate) fn check_content_encryption(algorithm: &Algorithm<'_>) -> Result<[u8; NONCE], Error> {
    if algorithm.oid != oid::AES256_GCM {
        return Err(Refusal::ContentAlgorithm.into());
    }
    let mut parameters = Parser::only(algorithm.parameters.ok_or(Error::Malformed)?, SEQUENCE)?;
    let nonce = parameters.octets()?.try_into().map_err(|_| Error::Refused(Refusal::NonceLength))?;
    // The default of ICVlen is 12, so it must be there.
    let tag = if parameters.is_empty() { 12 } else { parameters.unsigned()? };
    parameters.finish()?;
    if tag == TAG as u64 { Ok(nonce) } else { Err(Refusal::TagLength.into()) }
}
