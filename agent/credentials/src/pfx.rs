//! A first look at a PKCS#12 file (RFC 7292), before its passphrase is put to work: does it have a MAC, what does it
//! use, and how much work does it ask for?

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};

use crate::CredentialError;
use crate::CredentialError::Damaged;

/// The most iterations of key derivation that one file may ask for in all.
const MAX_ITERATIONS: u64 = 5_000_000;
/// The most encrypted parts that can be seen from outside.
const MAX_ENCRYPTED: usize = 64;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const SECRET_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.5");
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
/// pbeWithSHAAnd3-KeyTripleDES-CBC and pbeWithSHAAnd40BitRC2-CBC: what `-legacy` writes.
const PBES1: [ObjectIdentifier; 2] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.6"),
];

/// What can be said of a file without its passphrase.
pub(crate) struct Survey<'a> {
    /// The parts (ContentInfo) that hold something encrypted.
    encrypted: Vec<AnyRef<'a>>,
}

/// Looks at a file and refuses it if it has no MAC, is not in DER, uses unknown schemes, or asks for absurd work.
///
/// What is nested inside an encrypted part cannot be seen; each derivation there is capped by crate `p12-keystore`,
/// and only who knows the passphrase can have put it there.
pub(crate) fn survey(file: &[u8]) -> Result<Survey<'_>, CredentialError> {
    let pfx = AnyRef::from_der(file).map_err(|_| Damaged)?;
    let [_version, auth_safe, mac] = fields(pfx, Tag::Sequence)?;
    let mut count = Count { iterations: mac_iterations(mac)?, encrypted: 0 };
    let mut encrypted = Vec::new();
    for safe in children(parse(content(auth_safe, DATA)?.value())?, Tag::Sequence)? {
        if surveyed_safe(safe, &mut count)? {
            encrypted.push(safe);
        }
    }
    Ok(Survey { encrypted })
}

impl Survey<'_> {
    /// Each encrypted part as a file of its own without a MAC: with it one finds out, after the MAC failed, whether
    /// the passphrase was wrong or the file was changed.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Vec<u8>> {
        self.encrypted.iter().filter_map(|safe| alone(*safe).ok())
    }
}

fn alone(safe: AnyRef<'_>) -> der::Result<Vec<u8>> {
    let wrap = |tag, inner: &[u8]| AnyRef::new(tag, inner)?.to_der();
    let safes = wrap(Tag::Sequence, &safe.to_der()?)?;
    let data = wrap(Tag::OctetString, &safes)?;
    let content = [DATA.to_der()?, wrap(explicit(), &data)?].concat();
    let fields = [3u8.to_der()?, wrap(Tag::Sequence, &content)?].concat();
    wrap(Tag::Sequence, &fields)
}

const fn explicit() -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(0) }
}

struct Count {
    iterations: u64,
    encrypted: usize,
}

impl Count {
    fn add(&mut self, iterations: u64) -> Result<(), CredentialError> {
        self.encrypted += 1;
        self.iterations = self.iterations.saturating_add(iterations);
        if self.iterations > MAX_ITERATIONS || self.encrypted > MAX_ENCRYPTED {
            return Err(Damaged);
        }
        Ok(())
    }
}

/// Counts the work in one ContentInfo; says whether there is anything encrypted in it.
fn surveyed_safe(safe: AnyRef<'_>, count: &mut Count) -> Result<bool, CredentialError> {
    let before = count.encrypted;
    let [kind, _] = fields(safe, Tag::Sequence)?;
    if oid(kind)? == ENCRYPTED_DATA {
        // EncryptedData { version, EncryptedContentInfo { type, algorithm, [0] content } }, RFC 5652 §8.
        let [_version, info] = fields(content(safe, ENCRYPTED_DATA)?, Tag::Sequence)?;
        let [_type, algorithm, _content] = fields(info, Tag::Sequence)?;
        count.add(iterations(algorithm)?)?;
    } else {
        for bag in children(parse(content(safe, DATA)?.value())?, Tag::Sequence)? {
            survey_bag(bag, count)?;
        }
    }
    Ok(count.encrypted > before)
}

/// Counts the work in one SafeBag { id, [0] value, attributes }.
fn survey_bag(bag: AnyRef<'_>, count: &mut Count) -> Result<(), CredentialError> {
    let parts = children(bag, Tag::Sequence)?;
    let [id, value, ..] = parts.as_slice() else { return Err(Damaged) };
    let shrouded = match oid(*id)? {
        SHROUDED_KEY_BAG => inside(*value)?,
        // SecretBag { type, [0] value }: an EncryptedPrivateKeyInfo in an OCTET STRING, as Java writes it.
        SECRET_BAG => {
            let [_type, secret] = fields(inside(*value)?, Tag::Sequence)?;
            parse(inside(secret)?.value())?
        }
        _ => return Ok(()),
    };
    let [algorithm, _data] = fields(shrouded, Tag::Sequence)?;
    count.add(iterations(algorithm)?)
}

/// The iterations of an encryption scheme: PBES2 with PBKDF2 (RFC 8018), or PBES1 of PKCS#12 (RFC 7292 appendix C).
fn iterations(algorithm: AnyRef<'_>) -> Result<u64, CredentialError> {
    let [scheme, parameters] = fields(algorithm, Tag::Sequence)?;
    let scheme = oid(scheme)?;
    if PBES1.contains(&scheme) {
        let [_salt, count] = fields(parameters, Tag::Sequence)?;
        return number(count);
    }
    if scheme != PBES2 {
        return Err(Damaged);
    }
    let [kdf, _cipher] = fields(parameters, Tag::Sequence)?;
    let [kdf, parameters] = fields(kdf, Tag::Sequence)?;
    if oid(kdf)? != PBKDF2 {
        return Err(Damaged);
    }
    match children(parameters, Tag::Sequence)?.as_slice() {
        [_salt, count, ..] => number(*count),
        _ => Err(Damaged),
    }
}

/// MacData { DigestInfo, salt, iterations DEFAULT 1 }.
fn mac_iterations(mac: AnyRef<'_>) -> Result<u64, CredentialError> {
    match children(mac, Tag::Sequence)?.as_slice() {
        [_digest, _salt] => Ok(1),
        [_digest, _salt, count] => number(*count),
        _ => Err(Damaged),
    }
}

/// The content of a ContentInfo { type, [0] content } of the type expected.
fn content(info: AnyRef<'_>, expected: ObjectIdentifier) -> Result<AnyRef<'_>, CredentialError> {
    let [kind, content] = fields(info, Tag::Sequence)?;
    if oid(kind)? != expected {
        return Err(Damaged);
    }
    inside(content)
}

/// What an explicit tag [0] holds.
fn inside(any: AnyRef<'_>) -> Result<AnyRef<'_>, CredentialError> {
    if any.tag() != explicit() {
        return Err(Damaged);
    }
    parse(any.value())
}

fn parse(bytes: &[u8]) -> Result<AnyRef<'_>, CredentialError> {
    AnyRef::from_der(bytes).map_err(|_| Damaged)
}

fn oid(any: AnyRef<'_>) -> Result<ObjectIdentifier, CredentialError> {
    any.decode_as().map_err(|_| Damaged)
}

/// A positive INTEGER.
fn number(any: AnyRef<'_>) -> Result<u64, CredentialError> {
    any.decode_as::<u64>().ok().filter(|number| *number > 0).ok_or(Damaged)
}

/// Exactly so many elements of a structure.
fn fields<const N: usize>(any: AnyRef<'_>, tag: Tag) -> Result<[AnyRef<'_>; N], CredentialError> {
    children(any, tag)?.try_into().map_err(|_| Damaged)
}

/// All elements of a structure.
fn children(any: AnyRef<'_>, tag: Tag) -> Result<Vec<AnyRef<'_>>, CredentialError> {
    if any.tag() != tag {
        return Err(Damaged);
    }
    let mut reader = SliceReader::new(any.value()).map_err(|_| Damaged)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader).map_err(|_| Damaged)?);
    }
    Ok(found)
}
