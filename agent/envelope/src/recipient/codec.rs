//! KeyTransRecipientInfo and KeyAgreeRecipientInfo in DER (RFC 5652 §6.2.1, §6.2.2; RFC 5753 §3.1).

use super::{Method, RecipientId, RecipientInfo};
use crate::asn1::{self, BIT_STRING, INTEGER, OCTET_STRING, Parser, SEQUENCE, context, context_primitive};
use crate::limits::{MAX_KEY_ID, MAX_NAME, MAX_RECIPIENTS};
use crate::{Error, Refusal, algorithm, oid};

/// The largest encrypted key: RSA-4096.
const MAX_ENCRYPTED_KEY: usize = 512;
const MAX_UKM: usize = 1024;

/// Reads one RecipientInfo and adds the recipients it holds.
pub(super) fn read(der: &[u8], found: &mut Vec<RecipientInfo>) -> Result<(), Error> {
    let mut outer = Parser::new(der)?;
    match outer.any()? {
        (SEQUENCE, contents) => {
            outer.finish()?;
            found.push(read_key_transport(Parser::new(contents)?)?);
            check_count(found)
        }
        (tag, contents) if tag == context(1) => {
            outer.finish()?;
            read_key_agreement(Parser::new(contents)?, found)
        }
        // [2] to [4]: a key both sides have, a password, anything else.
        (0xa2..=0xbe, _) => Err(Refusal::RecipientKind.into()),
        _ => Err(Error::Malformed),
    }
}

fn check_count(found: &[RecipientInfo]) -> Result<(), Error> {
    if found.len() > MAX_RECIPIENTS { Err(Error::TooLarge) } else { Ok(()) }
}

fn read_key_transport(mut info: Parser<'_>) -> Result<RecipientInfo, Error> {
    let version = info.unsigned()?;
    let (id, expected) = if info.tag() == Some(context_primitive(0)) {
        (key_id(info.contents(context_primitive(0))?)?, 2)
    } else {
        (issuer_serial(info.inside(SEQUENCE)?)?, 0)
    };
    if version != expected {
        return Err(Refusal::Version.into());
    }
    algorithm::check_key_transport(&info.algorithm()?)?;
    let encrypted_key = encrypted_key(&mut info)?;
    info.finish()?;
    Ok(RecipientInfo { id, encrypted_key, method: Method::KeyTransport })
}

fn read_key_agreement(mut info: Parser<'_>, found: &mut Vec<RecipientInfo>) -> Result<(), Error> {
    if info.unsigned()? != 3 {
        return Err(Refusal::Version.into());
    }
    let mut originator = info.inside(context(0))?;
    // Anything but an ephemeral key would be static Diffie-Hellman, which has no place in the suite.
    let Some(key) = originator.optional(context(1))? else { return Err(Refusal::KeyAgreement.into()) };
    originator.finish()?;
    let point = ephemeral_point(Parser::new(key)?)?.to_vec();
    let ukm = match info.optional(context(1))? {
        Some(ukm) => {
            let mut inner = Parser::new(ukm)?;
            let ukm = inner.octets()?;
            inner.finish()?;
            if ukm.len() > MAX_UKM {
                return Err(Error::TooLarge);
            }
            Some(ukm.to_vec())
        }
        None => None,
    };
    let wrap = algorithm::check_key_agreement(&info.algorithm()?)?.to_vec();
    let mut keys = info.inside(SEQUENCE)?;
    info.finish()?;
    if keys.is_empty() {
        return Err(Error::Malformed);
    }
    while !keys.is_empty() {
        let mut key = keys.inside(SEQUENCE)?;
        let id = match key.any()? {
            (SEQUENCE, contents) => issuer_serial(Parser::new(contents)?)?,
            // RecipientKeyIdentifier: the date and other attribute that may follow say nothing to us.
            (tag, contents) if tag == context(0) => key_id(Parser::new(contents)?.octets()?)?,
            _ => return Err(Error::Malformed),
        };
        let encrypted_key = encrypted_key(&mut key)?;
        key.finish()?;
        let method = Method::KeyAgreement { point: point.clone(), ukm: ukm.clone(), wrap: wrap.clone() };
        found.push(RecipientInfo { id, encrypted_key, method });
        check_count(found)?;
    }
    Ok(())
}

/// OriginatorPublicKey: id-ecPublicKey, whose parameters may be absent, NULL or the curve (RFC 5753 §3.1.1).
fn ephemeral_point<'a>(mut key: Parser<'a>) -> Result<&'a [u8], Error> {
    let id = key.algorithm()?;
    let curve = asn1::oid(&oid::P256);
    let curve_ok = id.has_no_parameters() || id.parameters == Some(curve.as_slice());
    let bits = key.contents(BIT_STRING)?;
    key.finish()?;
    // No unused bits, and an uncompressed point of P-256 (SEC 1 §2.3.3).
    match bits.split_first() {
        Some((0, point)) if id.oid == oid::EC_PUBLIC_KEY && curve_ok && point.len() == 65 => Ok(point),
        _ => Err(Refusal::KeyAgreement.into()),
    }
}

fn encrypted_key(info: &mut Parser<'_>) -> Result<Vec<u8>, Error> {
    let key = info.octets()?;
    if key.len() > MAX_ENCRYPTED_KEY { Err(Error::TooLarge) } else { Ok(key.to_vec()) }
}

pub(crate) fn key_id(id: &[u8]) -> Result<RecipientId, Error> {
    if id.len() > MAX_KEY_ID { Err(Error::TooLarge) } else { Ok(RecipientId::KeyId(id.to_vec())) }
}

/// IssuerAndSerialNumber, RFC 5652 §10.2.4.
pub(crate) fn issuer_serial(mut name: Parser<'_>) -> Result<RecipientId, Error> {
    if name.tag() != Some(SEQUENCE) {
        return Err(Error::Malformed);
    }
    let issuer = name.raw()?;
    let serial = name.contents(INTEGER)?;
    name.finish()?;
    if issuer.len() > MAX_NAME || serial.len() > MAX_KEY_ID {
        return Err(Error::TooLarge);
    }
    Ok(RecipientId::IssuerSerial { issuer: issuer.to_vec(), serial: serial.to_vec() })
}

pub(super) fn write(info: &RecipientInfo) -> Vec<u8> {
    let encrypted_key = asn1::octets(&info.encrypted_key);
    match &info.method {
        Method::KeyTransport => {
            let (version, id) = match &info.id {
                RecipientId::KeyId(id) => (2, asn1::tlv(context_primitive(0), &[id])),
                RecipientId::IssuerSerial { issuer, serial } => (0, write_issuer_serial(issuer, serial)),
            };
            asn1::sequence(&[&asn1::unsigned(version), &id, &algorithm::oaep(), &encrypted_key])
        }
        Method::KeyAgreement { point, ukm, wrap } => {
            let id = match &info.id {
                RecipientId::KeyId(id) => asn1::tlv(context(0), &[&asn1::tlv(OCTET_STRING, &[id])]),
                RecipientId::IssuerSerial { issuer, serial } => write_issuer_serial(issuer, serial),
            };
            let key = asn1::tlv(
                context(1),
                &[&asn1::algorithm(&oid::EC_PUBLIC_KEY, None), &asn1::tlv(BIT_STRING, &[&[0], point])],
            );
            let ukm =
                ukm.as_ref().map(|ukm| asn1::tlv(context(1), &[&asn1::octets(ukm)])).unwrap_or_default();
            asn1::tlv(
                context(1),
                &[
                    &asn1::unsigned(3),
                    &asn1::tlv(context(0), &[&key]),
                    &ukm,
                    &asn1::algorithm(&oid::ECDH_SHA256KDF, Some(wrap)),
                    &asn1::sequence(&[&asn1::sequence(&[&id, &encrypted_key])]),
                ],
            )
        }
    }
}

pub(crate) fn write_issuer_serial(issuer: &[u8], serial: &[u8]) -> Vec<u8> {
    asn1::sequence(&[issuer, &asn1::tlv(INTEGER, &[serial])])
}
