//! The certificate profiles of our key slots (FORMATS §1), shared by who issues, who requests and who judges.
//!
//! A user's certificate has the subject `CN=LIFE <slot>, serialNumber=urn:uuid:…`, one subjectAltName with the same
//! URI, one extended key usage, one key usage, and SHA-256 of its key as subjectKeyIdentifier.

use const_oid::AssociatedOid;
use const_oid::db::rfc4519::{CN, SERIAL_NUMBER};
use const_oid::db::rfc5280::{
    ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME, ID_KP_CLIENT_AUTH,
    ID_KP_EMAIL_PROTECTION, ID_KP_TIME_STAMPING,
};
use der::asn1::{Any, Ia5String, ObjectIdentifier, PrintableStringRef, SetOfVec, Utf8StringRef};
use der::flagset::FlagSet;
use der::{Decode, Encode, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use crate::key::{KeyAlgorithm, PublicKey};
use crate::kind::KeySlot;
use crate::uid::Uid;

/// The subjectAltName URI of the certificate whose key signs receipts.
pub const RECEIPT_URI: &str = "urn:life:platform:receipt";

/// The one extended key usage of that certificate: id-kp-timeStamping, RFC 5280 §4.2.1.12.
pub const RECEIPT_EXTENDED_KEY_USAGE: ObjectIdentifier = ID_KP_TIME_STAMPING;

/// The smallest RSA key of a root credential, in bits.
const MIN_ROOT_RSA_BITS: u32 = 3072;

/// Why a certificate or request does not follow a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// It can act as a certification authority, or is not of version 3.
    #[error("not an end-entity certificate of version 3")]
    NotEndEntity,
    /// A root credential's key is too small.
    #[error("the key is too small for a root credential")]
    SmallKey,
    /// The subject or subjectAltName is not of the profile, or they name different users.
    #[error("the subject and its alternative name are not one LIFE user's")]
    Subject,
    /// There is no subjectKeyIdentifier, or it is not SHA-256 of the key.
    #[error("the key identifier does not belong to the key")]
    KeyIdentifier,
    /// A critical extension that no profile has, or an extension twice, or one that cannot be read.
    #[error("the extensions are not those of the profile")]
    Extensions,
    /// Key usage, extended key usage, common name and key do not belong to one slot.
    #[error("the usages are not those of a key slot")]
    Usage,
}

/// What keyUsage (RFC 5280 §4.2.1.3) a certificate asserts: always exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// digitalSignature.
    DigitalSignature,
    /// keyAgreement: ECDH.
    KeyAgreement,
    /// keyEncipherment: RSA.
    KeyEncipherment,
}

/// The profile of one key slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotProfile {
    /// The slot.
    pub slot: KeySlot,
    /// The subject's common name.
    pub common_name: &'static str,
    /// The only extended key usage.
    pub extended_key_usage: ObjectIdentifier,
}

impl SlotProfile {
    /// The profile of a slot.
    #[must_use]
    pub const fn of(slot: KeySlot) -> Self {
        let (common_name, extended_key_usage) = match slot {
            KeySlot::Authentication => ("LIFE authentication", ID_KP_CLIENT_AUTH),
            KeySlot::Signature => ("LIFE signature", ID_KP_EMAIL_PROTECTION),
            KeySlot::Encryption => ("LIFE encryption", ID_KP_EMAIL_PROTECTION),
            KeySlot::Root => ("LIFE root", ID_KP_EMAIL_PROTECTION),
        };
        Self { slot, common_name, extended_key_usage }
    }

    /// The only key usage, which for encryption depends on the key.
    #[must_use]
    pub const fn key_use(&self, algorithm: KeyAlgorithm) -> KeyUse {
        match (self.slot, algorithm) {
            (KeySlot::Authentication | KeySlot::Signature, _) => KeyUse::DigitalSignature,
            (KeySlot::Encryption | KeySlot::Root, KeyAlgorithm::Rsa { .. }) => KeyUse::KeyEncipherment,
            (KeySlot::Encryption | KeySlot::Root, KeyAlgorithm::P256) => KeyUse::KeyAgreement,
        }
    }

    /// Refuses a key that the slot does not take: RSA below 3072 bits for a root credential (FORMATS §2).
    ///
    /// # Errors
    /// [`ProfileError::SmallKey`].
    pub fn check_key(&self, key: &PublicKey) -> Result<(), ProfileError> {
        match (self.slot, key.algorithm()) {
            (KeySlot::Root, KeyAlgorithm::Rsa { bits }) if bits < MIN_ROOT_RSA_BITS => {
                Err(ProfileError::SmallKey)
            }
            _ => Ok(()),
        }
    }
}

/// Whose key it is and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: Uid,
    /// The slot.
    pub slot: KeySlot,
}

/// Judges a certificate by our profiles.
pub(crate) fn identify(tbs: &TbsCertificate, key: &PublicKey) -> Result<Identity, ProfileError> {
    let extensions = tbs.extensions().map_or(&[][..], Vec::as_slice);
    check_end_entity(tbs.version(), extensions)?;
    let identifier: SubjectKeyIdentifier = optional(extensions)?.ok_or(ProfileError::KeyIdentifier)?;
    if identifier.0.as_bytes() != key.hash().0 {
        return Err(ProfileError::KeyIdentifier);
    }
    identify_parts(tbs.subject(), extensions, key)
}

/// Judges what a certificate and a request have in common.
pub(crate) fn identify_parts(
    subject: &Name,
    extensions: &[Extension],
    key: &PublicKey,
) -> Result<Identity, ProfileError> {
    let (common_name, serial_number) = subject_parts(subject).ok_or(ProfileError::Subject)?;
    let uid = Uid::from_urn(&serial_number).map_err(|_| ProfileError::Subject)?;
    if only_uri(extensions)? != serial_number {
        return Err(ProfileError::Subject);
    }
    let profile = (KeySlot::ALL.iter().map(|slot| SlotProfile::of(*slot)))
        .find(|profile| profile.common_name == common_name)
        .ok_or(ProfileError::Usage)?;
    check_usages(extensions, profile.key_use(key.algorithm()), profile.extended_key_usage)?;
    profile.check_key(key)?;
    Ok(Identity { uid, slot: profile.slot })
}

/// Judges the certificate whose key signs receipts.
pub(crate) fn check_receipt_certificate(tbs: &TbsCertificate) -> Result<(), ProfileError> {
    let extensions = tbs.extensions().map_or(&[][..], Vec::as_slice);
    check_end_entity(tbs.version(), extensions)?;
    if only_uri(extensions)? != RECEIPT_URI {
        return Err(ProfileError::Subject);
    }
    check_usages(extensions, KeyUse::DigitalSignature, RECEIPT_EXTENDED_KEY_USAGE)
}

/// The subject of a slot's certificate.
pub(crate) fn subject(uid: &Uid, slot: KeySlot) -> der::Result<Name> {
    let common_name = Utf8StringRef::new(SlotProfile::of(slot).common_name)?;
    let urn = uid.urn();
    let serial_number = PrintableStringRef::new(&urn)?;
    let mut names = RdnSequence::default();
    for (oid, value) in [(CN, Any::from(common_name)), (SERIAL_NUMBER, Any::from(serial_number))] {
        let mut name = RelativeDistinguishedName::default();
        name.insert(AttributeTypeAndValue { oid, value })?;
        names.push(name);
    }
    // A Name is the same bytes, but has no constructor of its own.
    Name::from_der(&names.to_der()?)
}

/// The extensions that a request for a slot's certificate asks for.
pub(crate) fn requested_extensions(uid: &Uid, slot: KeySlot, key: &PublicKey) -> der::Result<Vec<Extension>> {
    let profile = SlotProfile::of(slot);
    let uri = GeneralName::UniformResourceIdentifier(Ia5String::new(&uid.urn())?);
    let usage = KeyUsage(flag(profile.key_use(key.algorithm())).into());
    Ok(vec![
        extension(false, &SubjectAltName(vec![uri]))?,
        extension(true, &usage)?,
        extension(false, &ExtendedKeyUsage(vec![profile.extended_key_usage]))?,
    ])
}

fn extension<T: AssociatedOid + Encode>(critical: bool, value: &T) -> der::Result<Extension> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: der::asn1::OctetString::new(value.to_der()?)? })
}

fn flag(key_use: KeyUse) -> KeyUsages {
    match key_use {
        KeyUse::DigitalSignature => KeyUsages::DigitalSignature,
        KeyUse::KeyAgreement => KeyUsages::KeyAgreement,
        KeyUse::KeyEncipherment => KeyUsages::KeyEncipherment,
    }
}

/// Version 3, no authority, and nothing critical that we do not judge.
fn check_end_entity(version: Version, extensions: &[Extension]) -> Result<(), ProfileError> {
    const JUDGED: [ObjectIdentifier; 4] =
        [ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME];
    if extensions.iter().any(|extension| extension.critical && !JUDGED.contains(&extension.extn_id)) {
        return Err(ProfileError::Extensions);
    }
    let authority = optional::<BasicConstraints>(extensions)?.is_some_and(|constraints| constraints.ca);
    if version == Version::V3 && !authority { Ok(()) } else { Err(ProfileError::NotEndEntity) }
}

fn check_usages(
    extensions: &[Extension],
    key_use: KeyUse,
    extended: ObjectIdentifier,
) -> Result<(), ProfileError> {
    let usage: KeyUsage = required(extensions)?;
    let extended_usage: ExtendedKeyUsage = required(extensions)?;
    let fits = usage.0 == FlagSet::from(flag(key_use)) && extended_usage.0 == [extended];
    if fits { Ok(()) } else { Err(ProfileError::Usage) }
}

/// The one URI of a subjectAltName that has nothing else.
fn only_uri(extensions: &[Extension]) -> Result<String, ProfileError> {
    let names: GeneralNames = required::<SubjectAltName>(extensions)?.0;
    match names.as_slice() {
        [GeneralName::UniformResourceIdentifier(uri)] => Ok(uri.as_str().to_owned()),
        _ => Err(ProfileError::Subject),
    }
}

/// Common name and serial number of a subject that has exactly these.
fn subject_parts(subject: &Name) -> Option<(String, String)> {
    let mut attributes: Vec<_> = subject.iter().collect();
    attributes.sort_by_key(|attribute| attribute.oid != CN);
    match attributes.as_slice() {
        [name, number] if name.oid == CN && number.oid == SERIAL_NUMBER => {
            Some((text(&name.value)?, text(&number.value)?))
        }
        _ => None,
    }
}

fn text(value: &Any) -> Option<String> {
    match value.tag() {
        Tag::PrintableString => value.decode_as::<PrintableStringRef<'_>>().ok().map(|text| text.to_string()),
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.to_string()),
        _ => None,
    }
}

fn required<'a, T>(extensions: &'a [Extension]) -> Result<T, ProfileError>
where
    T: Decode<'a, Error = der::Error> + AssociatedOid,
{
    optional(extensions)?.ok_or(ProfileError::Extensions)
}

/// Finds and decodes an extension; the same one twice is refused (RFC 5280 §4.2).
pub(crate) fn optional<'a, T>(extensions: &'a [Extension]) -> Result<Option<T>, ProfileError>
where
    T: Decode<'a, Error = der::Error> + AssociatedOid,
{
    let mut found = extensions.iter().filter(|extension| extension.extn_id == T::OID);
    let Some(extension) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(ProfileError::Extensions);
    }
    T::from_der(extension.extn_value.as_bytes()).map(Some).map_err(|_| ProfileError::Extensions)
}

/// Keeps `SetOfVec` in one place: a set of exactly one value.
pub(crate) fn only<T: der::DerOrd + Clone>(set: &SetOfVec<T>) -> Option<&T> {
    match set.as_slice() {
        [value] => Some(value),
        _ => None,
    }
}
