//! Makes certificates of the profiles (FORMATS §1, §7). Every one carries SHA-256(SPKI) as its subjectKeyIdentifier.

use std::net::IpAddr;

use life_pki::profile::{self, KeyUse, SlotProfile};
use life_pki::{KeySlot, PublicKey, Timestamp, Uid};
use rcgen::string::{Ia5String, PrintableString};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber,
};
use time::OffsetDateTime;

use super::keys::{CaKey, SubjectKey};
use crate::encoding::random;
use crate::error::Error;

/// Clocks of clients may run behind by this much before a fresh certificate looks not yet valid to them.
const BACKDATE_SECONDS: u32 = 300;
const DAY: u32 = 86_400;
const CA_DAYS: u32 = 20 * 365;
const SERVER_DAYS: u32 = 825;
const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
const SERIAL_NUMBER_ATTRIBUTE: &[u64] = &[2, 5, 4, 5];

/// What a certificate authority's certificate may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Signs other certificates of any depth below.
    Root,
    /// Signs end-entity certificates and CRLs only.
    Issuing,
}

/// A key that issues, with the name it issues under.
pub struct Issuing {
    key: CaKey,
    name: String,
}

life_sys::secret_types!(Issuing);

impl Issuing {
    /// Pairs a key with the common name its certificate carries.
    #[must_use]
    pub fn new(key: CaKey, name: &str) -> Self {
        Self { key, name: name.to_owned() }
    }

    /// The public half of the key.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        self.key.public()
    }

    /// Writes the key to a new file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &std::path::Path) -> Result<(), Error> {
        self.key.save(path)
    }

    pub(super) fn issuer(&self) -> Issuer<'_, &CaKey> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&self.name);
        params.key_identifier_method = key_id(self.key.public());
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Issuer::new(params, &self.key)
    }

    /// Makes the authority's own self-signed root certificate.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn self_signed(&self, now: Timestamp) -> Result<Vec<u8>, Error> {
        self.authority(&self.name, self.key.public(), Authority::Root, now)
    }

    /// Makes the certificate of an authority below this one.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn authority(
        &self,
        name: &str,
        key: &PublicKey,
        kind: Authority,
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let mut params = params(key, now, CA_DAYS)?;
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(match kind {
            Authority::Root => BasicConstraints::Unconstrained,
            Authority::Issuing => BasicConstraints::Constrained(0),
        });
        params.custom_extensions.clear();
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        self.sign(&params, key)
    }

    /// Makes a TLS server's certificate for host names and addresses.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that is neither; [`Error::Certificate`].
    pub fn tls_server(&self, names: &[String], key: &PublicKey, now: Timestamp) -> Result<Vec<u8>, Error> {
        let mut params = params(key, now, SERVER_DAYS)?;
        params.distinguished_name = common_name("LIFE platform");
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse::<IpAddr>() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => dns_name(name).map(SanType::DnsName),
            })
            .collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params, key)
    }

    /// Makes the certificate of the key that signs receipts.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn receipt(&self, key: &PublicKey, now: Timestamp) -> Result<Vec<u8>, Error> {
        let mut params = params(key, now, CA_DAYS)?;
        params.distinguished_name = common_name("LIFE platform receipts");
        params.subject_alt_names = vec![SanType::URI(ia5(profile::RECEIPT_URI)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping];
        self.sign(&params, key)
    }

    /// Makes a user's certificate for one key slot.
    ///
    /// # Errors
    /// [`Error::Certificate`].
    pub fn user(
        &self,
        uid: Uid,
        slot: KeySlot,
        key: &PublicKey,
        now: Timestamp,
        days: u32,
    ) -> Result<Vec<u8>, Error> {
        let profile = SlotProfile::of(slot);
        let mut params = params(key, now, days)?;
        params.distinguished_name = common_name(profile.common_name);
        let urn = PrintableString::try_from(uid.urn()).map_err(|_| Error::Certificate("a user id"))?;
        params
            .distinguished_name
            .push(DnType::CustomDnType(SERIAL_NUMBER_ATTRIBUTE.to_vec()), DnValue::PrintableString(urn));
        params.subject_alt_names = vec![SanType::URI(ia5(&uid.urn())?)];
        params.key_usages = vec![match profile.key_use(key.algorithm()) {
            KeyUse::DigitalSignature => KeyUsagePurpose::DigitalSignature,
            KeyUse::KeyAgreement => KeyUsagePurpose::KeyAgreement,
            KeyUse::KeyEncipherment => KeyUsagePurpose::KeyEncipherment,
        }];
        params.extended_key_usages = vec![match slot {
            KeySlot::Authentication => ExtendedKeyUsagePurpose::ClientAuth,
            _ => ExtendedKeyUsagePurpose::EmailProtection,
        }];
        self.sign(&params, key)
    }

    fn sign(&self, params: &CertificateParams, key: &PublicKey) -> Result<Vec<u8>, Error> {
        let subject = SubjectKey(key);
        // rcgen encodes the key anew; an odd but tolerated encoding would get another hash than the log names.
        if subject.subject_public_key_info() != key.spki() {
            return Err(Error::Certificate("the public key is not encoded canonically"));
        }
        params
            .signed_by(&subject, &self.issuer())
            .map(|certificate| certificate.der().to_vec())
            .map_err(|_| Error::Certificate("signing failed"))
    }
}

/// What every certificate has in common: a random serial, the validity, the key identifiers.
fn params(key: &PublicKey, now: Timestamp, days: u32) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.not_before = instant(now.minus(BACKDATE_SECONDS))?;
    params.not_after = instant(now.plus(days.saturating_mul(DAY)))?;
    params.serial_number = Some(serial()?);
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = key_id(key);
    let mut identifier = vec![0x04, 32];
    identifier.extend_from_slice(&key.hash().0);
    params.custom_extensions = vec![CustomExtension::from_oid_content(SUBJECT_KEY_IDENTIFIER, identifier)];
    Ok(params)
}

/// A positive random serial of 16 bytes (RFC 5280 §4.1.2.2).
fn serial() -> Result<SerialNumber, Error> {
    let mut bytes: [u8; 16] = random()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

pub(super) fn instant(time: Timestamp) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(time.unix())
        .map_err(|_| Error::Certificate("the clock is out of range"))
}

pub(super) fn key_id(key: &PublicKey) -> KeyIdMethod {
    KeyIdMethod::PreSpecified(key.hash().0.to_vec())
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

fn ia5(text: &str) -> Result<Ia5String, Error> {
    Ia5String::try_from(text).map_err(|_| Error::Certificate("a name is not ASCII"))
}

fn dns_name(name: &str) -> Result<Ia5String, Error> {
    rustls_pki_types::DnsName::try_from(name)
        .ok()
        .and_then(|_| Ia5String::try_from(name).ok())
        .ok_or_else(|| Error::Config(format!("{name:?} is neither a host name nor an IP address")))
}
