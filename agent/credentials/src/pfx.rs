//! A first look at a PKCS#12 file (RFC 7292), before crate `p12-keystore` works on it: does it have a MAC, what does it
//! use, and how much work does it ask for, outside and inside its encrypted parts?

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, TagNumber, Tagged};
use life_sys::secret::SecretBytes;

use crate::CredentialError;
use crate::CredentialError::Damaged;
use crate::decryption::{Pbes1, decrypt_pbes2};

/// The most iterations of key derivation that one file may ask for in all.
const MAX_ITERATIONS: u64 = 5_000_000;
/// The most things that are encrypted by themselves, outside and inside other ones.
const MAX_ENCRYPTED: usize = 64;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const SECRET_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.5");
const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
/// pbeWithSHAAnd3-KeyTripleDES-CBC and pbeWithSHAAnd40BitRC2-CBC: what `-legacy` writes.
const PBES1: [(ObjectIdentifier, Pbes1); 2] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3"), Pbes1::TripleDes),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.6"), Pbes1::Rc2With40Bits),
];
/// How often PBES1 derives: the key takes up to two rounds of SHA-1, the initialisation vector one.
const PBES1_DERIVATIONS: u64 = 3;

/// What can be said of a file without its passphrase.
pub(crate) struct Survey<'a> {
    /// The parts (ContentInfo) that hold something encrypted.
    encrypted: Vec<AnyRef<'a>>,
    /// Those of them that are encrypted as a whole.
    closed: Vec<Closed<'a>>,
    count: Count,
}

/// An encrypted part.
struct Closed<'a> {
    scheme: Scheme<'a>,
    data: &'a [u8],
}

/// Looks at a file and refuses it if it has no MAC, is not in DER, uses unknown schemes, or asks for absurd work.
/// What it asks for inside its encrypted parts needs the passphrase: [`Survey::look_inside`].
pub(crate) fn survey(file: &[u8]) -> Result<Survey<'_>, CredentialError> {
    let pfx = AnyRef::from_der(file).map_err(|_| Damaged)?;
    let [_version, auth_safe, mac] = fields(pfx, Tag::Sequence)?;
    let mut count = Count { iterations: mac_iterations(mac)?, encrypted: 0 };
    let (mut encrypted, mut closed) = (Vec::new(), Vec::new());
    for safe in children(parse(content(auth_safe, DATA)?.value())?, Tag::Sequence)? {
        let before = count.encrypted;
        closed.extend(survey_safe(safe, &mut count)?);
        if count.encrypted > before {
            encrypted.push(safe);
        }
    }
    Ok(Survey { encrypted, closed, count })
}

impl Survey<'_> {
    /// Opens each encrypted part that the passphrase opens and counts the work inside with the rest; whoever made the
    /// file knows the passphrase, so a MAC says nothing about what they hid there. Says whether all parts opened.
    pub(crate) fn look_inside(&self, passphrase: &str) -> Result<bool, CredentialError> {
        let mut count = self.count;
        let mut all = true;
        for closed in &self.closed {
            match closed.scheme.decrypt(passphrase, closed.data) {
                // EXPOSE: to count; wiped when dropped. Once in some 256 times the padding that a wrong passphrase
                // leaves passes for a right one: what comes out is no SEQUENCE then, and nobody opens anything in it.
                Some(bags) if parse(bags.expose()).is_ok_and(|any| any.tag() == Tag::Sequence) => {
                    survey_bags(bags.expose(), &mut count)?;
                }
                _ => all = false,
            }
        }
        Ok(all)
    }

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

const fn implicit() -> Tag {
    Tag::ContextSpecific { constructed: false, number: TagNumber(0) }
}

const fn explicit() -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(0) }
}

#[derive(Clone, Copy)]
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

/// Counts the work in one ContentInfo, and gives it back if it is encrypted as a whole.
fn survey_safe<'a>(safe: AnyRef<'a>, count: &mut Count) -> Result<Option<Closed<'a>>, CredentialError> {
    let [kind, _] = fields(safe, Tag::Sequence)?;
    if oid(kind)? == ENCRYPTED_DATA {
        // EncryptedData { version, EncryptedContentInfo { type, algorithm, [0] content } }, RFC 5652 §8.
        let [_version, info] = fields(content(safe, ENCRYPTED_DATA)?, Tag::Sequence)?;
        let [_type, algorithm, data] = fields(info, Tag::Sequence)?;
        if data.tag() != implicit() {
            return Err(Damaged);
        }
        let scheme = Scheme::of(algorithm)?;
        // It is opened twice: to look inside, and by crate p12-keystore.
        count.add(scheme.work()?.saturating_mul(2))?;
        return Ok(Some(Closed { scheme, data: data.value() }));
    }
    survey_bags(content(safe, DATA)?.value(), count)?;
    Ok(None)
}

/// Counts the work in SafeContents. Crate `p12-keystore` passes over nested SafeContents and so does this.
fn survey_bags(contents: &[u8], count: &mut Count) -> Result<(), CredentialError> {
    for bag in children(parse(contents)?, Tag::Sequence)? {
        survey_bag(bag, count)?;
    }
    Ok(())
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
    count.add(Scheme::of(algorithm)?.work()?)
}

/// An encryption scheme: PBES2 (RFC 8018), or PBES1 of PKCS#12 (RFC 7292 appendix C).
#[derive(Clone, Copy)]
enum Scheme<'a> {
    Pbes1 { cipher: Pbes1, salt: &'a [u8], iterations: u64 },
    Pbes2 { parameters: AnyRef<'a> },
}

impl<'a> Scheme<'a> {
    fn of(algorithm: AnyRef<'a>) -> Result<Self, CredentialError> {
        let [scheme, parameters] = fields(algorithm, Tag::Sequence)?;
        let scheme = oid(scheme)?;
        if let Some((_, cipher)) = PBES1.iter().find(|(oid, _)| *oid == scheme) {
            let [salt, iterations] = fields(parameters, Tag::Sequence)?;
            return Ok(Self::Pbes1 { cipher: *cipher, salt: salt.value(), iterations: number(iterations)? });
        }
        if scheme != PBES2 {
            return Err(Damaged);
        }
        Ok(Self::Pbes2 { parameters })
    }

    /// The iterations it asks for. Of the derivations of PBES2 only PBKDF2 is taken: scrypt asks for memory too.
    fn work(&self) -> Result<u64, CredentialError> {
        let parameters = match self {
            Self::Pbes1 { iterations, .. } => return Ok(iterations.saturating_mul(PBES1_DERIVATIONS)),
            Self::Pbes2 { parameters } => *parameters,
        };
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

    fn decrypt(&self, passphrase: &str, data: &[u8]) -> Option<SecretBytes> {
        match self {
            Self::Pbes1 { cipher, salt, iterations } => cipher.decrypt(salt, *iterations, passphrase, data),
            Self::Pbes2 { parameters } => decrypt_pbes2(*parameters, passphrase, data),
        }
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

#[cfg(test)]
mod tests {
    use pkcs5::pbes2::Parameters;

    use super::*;

    const PASSPHRASE: &str = "of-the-attacker";
    const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

    fn sequence(parts: &[&[u8]]) -> Vec<u8> {
        AnyRef::new(Tag::Sequence, &parts.concat()).unwrap().to_der().unwrap()
    }

    fn tagged(tag: Tag, inner: &[u8]) -> Vec<u8> {
        AnyRef::new(tag, inner).unwrap().to_der().unwrap()
    }

    fn scheme(parameters: &Parameters) -> Vec<u8> {
        sequence(&[&PBES2.to_der().unwrap(), &parameters.to_der().unwrap()])
    }

    fn pbkdf2(iterations: u32) -> Parameters {
        Parameters::generate_pbkdf2_sha256_aes256cbc(iterations, &[1; 16], [2; 16]).unwrap()
    }

    /// A bag with a key that nobody can open.
    fn shrouded(parameters: &Parameters) -> Vec<u8> {
        let key = sequence(&[&scheme(parameters), &tagged(Tag::OctetString, &[0; 16])]);
        sequence(&[&SHROUDED_KEY_BAG.to_der().unwrap(), &tagged(explicit(), &key)])
    }

    /// A bag with a secret that nobody can open, which stops no reader.
    fn secret(parameters: &Parameters) -> Vec<u8> {
        let key = sequence(&[&scheme(parameters), &tagged(Tag::OctetString, &[0; 16])]);
        let secret = tagged(explicit(), &tagged(Tag::OctetString, &key));
        let bag = sequence(&[&DATA.to_der().unwrap(), &secret]);
        sequence(&[&SECRET_BAG.to_der().unwrap(), &tagged(explicit(), &bag)])
    }

    /// A file with the bags in one encrypted part.
    fn hidden(bags: &[Vec<u8>]) -> Vec<u8> {
        let outer = pbkdf2(1000);
        let bags = sequence(&bags.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let data = tagged(implicit(), &outer.encrypt(PASSPHRASE, &bags).unwrap());
        let info = sequence(&[&DATA.to_der().unwrap(), &scheme(&outer), &data]);
        let encrypted = sequence(&[&0u8.to_der().unwrap(), &info]);
        let part = sequence(&[&ENCRYPTED_DATA.to_der().unwrap(), &tagged(explicit(), &encrypted)]);
        let parts = tagged(explicit(), &tagged(Tag::OctetString, &sequence(&[&part])));
        let safe = sequence(&[&DATA.to_der().unwrap(), &parts]);
        let octets = tagged(Tag::OctetString, &[0; 8]);
        let sha256 = sequence(&[&SHA256.to_der().unwrap(), &[5, 0]]);
        let mac = sequence(&[&sequence(&[&sha256, &octets]), &octets]);
        sequence(&[&3u8.to_der().unwrap(), &safe, &mac])
    }

    fn judged(bags: &[Vec<u8>], passphrase: &str) -> Result<bool, CredentialError> {
        survey(&hidden(bags)).unwrap().look_inside(passphrase)
    }

    #[test]
    fn hidden_work_is_counted() {
        let modest = shrouded(&pbkdf2(10_000));
        let costly = shrouded(&pbkdf2(1_000_000));
        assert_eq!(judged(&[modest.clone(), modest.clone()], PASSPHRASE), Ok(true));
        assert_eq!(judged(&vec![costly; 6], PASSPHRASE), Err(Damaged));
        assert_eq!(judged(&vec![modest.clone(); 70], PASSPHRASE), Err(Damaged));
        let memory = Parameters::generate_scrypt_aes256cbc(Default::default(), &[1; 16], [2; 16]).unwrap();
        assert_eq!(judged(&[shrouded(&memory)], PASSPHRASE), Err(Damaged));
        // With another passphrase nothing inside will ever be worked on.
        assert_eq!(judged(&vec![modest; 70], "another"), Ok(false));
    }

    #[test]
    fn a_wrong_passphrase_whose_padding_passes_is_still_wrong() {
        let file = hidden(&[shrouded(&pbkdf2(10_000))]);
        let survey = survey(&file).unwrap();
        let passes = |passphrase: &String| {
            survey.closed.iter().all(|closed| closed.scheme.decrypt(passphrase, closed.data).is_some())
        };
        // One in about 256 does; salt and initialisation vector are fixed, so it is always the same ones.
        let lucky: Vec<_> = (0..2000).map(|number| format!("wrong {number}")).filter(passes).collect();
        assert!(!lucky.is_empty());
        for passphrase in lucky {
            assert_eq!(survey.look_inside(&passphrase), Ok(false), "{passphrase}");
        }
    }

    #[test]
    fn hidden_work_is_refused_before_it_is_done() {
        // Done, it would take minutes.
        let file = hidden(&vec![secret(&pbkdf2(10_000_000)); 60]);
        let refused = crate::SoftwareCertificate::open(
            &file,
            &SecretBytes::new(PASSPHRASE.as_bytes().to_vec()),
            life_pki::Timestamp::from_unix(0).unwrap(),
        );
        assert_eq!(refused.err(), Some(Damaged));
    }
}
