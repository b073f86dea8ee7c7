//! A user CA as the platform has one: root, issuing authority, certificates of every slot, and lists.

use life_pki::key::KeyAlgorithm;
use life_pki::profile::{KeyUse, RECEIPT_URI, SlotProfile};
use life_pki::{Certificate, KeySlot, PublicKey, Timestamp, Uid};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData,
    RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm, date_time_ymd,
};

/// A public key on its way into a certificate.
pub struct Subject<'a>(pub &'a PublicKey);

impl PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.bits()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
            KeyAlgorithm::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

/// A root, and an issuing authority below it; both with P-256 keys.
pub struct Authority {
    pub root: Certificate,
    pub issuing: Vec<u8>,
    pub root_issuer: Issuer<'static, KeyPair>,
    pub issuer: Issuer<'static, KeyPair>,
}

/// Noon of a day; certificates below are good from 2026 to 2028.
pub fn day(year: i32, month: u8, day: u8) -> Timestamp {
    format!("{year:04}-{month:02}-{day:02}T12:00:00Z").parse().unwrap()
}

impl Authority {
    pub fn new() -> Self {
        let (root_params, root_key) =
            authority_params("LIFE test root", IsCa::Ca(BasicConstraints::Unconstrained));
        let root = root_params.self_signed(&root_key).unwrap();
        let root = Certificate::from_der(root.der()).unwrap();
        let root_issuer = Issuer::new(root_params, root_key);
        let (params, key) = authority_params("LIFE test issuing", IsCa::Ca(BasicConstraints::Constrained(0)));
        let issuing = params.signed_by(&key, &root_issuer).unwrap().der().to_vec();
        Self { root, issuing, root_issuer, issuer: Issuer::new(params, key) }
    }

    /// A certificate of the profile, after an edit of its parameters.
    pub fn issue_edited(
        &self,
        uid: &Uid,
        slot: KeySlot,
        key: &PublicKey,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> Vec<u8> {
        let mut params = slot_params(uid, slot, key);
        edit(&mut params);
        params.signed_by(&Subject(key), &self.issuer).unwrap().der().to_vec()
    }

    pub fn issue(&self, uid: &Uid, slot: KeySlot, key: &PublicKey) -> Vec<u8> {
        self.issue_edited(uid, slot, key, |_| ())
    }

    /// A certificate that signs receipts, issued by the root itself.
    pub fn issue_receipt(&self, key: &PublicKey, edit: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = leaf_params(key);
        params.distinguished_name = name("LIFE receipts");
        params.subject_alt_names = vec![SanType::URI(RECEIPT_URI.try_into().unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::TimeStamping];
        edit(&mut params);
        params.signed_by(&Subject(key), &self.root_issuer).unwrap().der().to_vec()
    }

    /// A list good for June 2026 that names certificates with the day in June of their revocation.
    pub fn crl(&self, revoked: &[(&Certificate, u8)]) -> Vec<u8> {
        self.crl_edited(revoked, |_| ())
    }

    pub fn crl_edited(
        &self,
        revoked: &[(&Certificate, u8)],
        edit: impl FnOnce(&mut CertificateRevocationListParams),
    ) -> Vec<u8> {
        let revoked_certs = revoked.iter().map(|(certificate, day)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(certificate.serial()),
            revocation_time: date_time_ymd(2026, 6, *day),
            reason_code: None,
            invalidity_date: None,
        });
        let mut params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 6, 1),
            next_update: date_time_ymd(2026, 7, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        edit(&mut params);
        params.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

fn authority_params(common_name: &str, is_ca: IsCa) -> (CertificateParams, KeyPair) {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2035, 1, 1);
    params.distinguished_name = name(common_name);
    params.is_ca = is_ca;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    (params, key)
}

fn leaf_params(key: &PublicKey) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params.use_authority_key_identifier_extension = true;
    // rcgen writes no subjectKeyIdentifier without basicConstraints.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.hash().0.to_vec());
    params
}

pub fn slot_params(uid: &Uid, slot: KeySlot, key: &PublicKey) -> CertificateParams {
    let profile = SlotProfile::of(slot);
    let mut params = leaf_params(key);
    params.distinguished_name = name(profile.common_name);
    let serial_number = DnValue::PrintableString(uid.urn().as_str().try_into().unwrap());
    params.distinguished_name.push(DnType::from_oid(&[2, 5, 4, 5]), serial_number);
    params.subject_alt_names = vec![SanType::URI(uid.urn().as_str().try_into().unwrap())];
    params.key_usages = vec![match profile.key_use(key.algorithm()) {
        KeyUse::DigitalSignature => KeyUsagePurpose::DigitalSignature,
        KeyUse::KeyAgreement => KeyUsagePurpose::KeyAgreement,
        KeyUse::KeyEncipherment => KeyUsagePurpose::KeyEncipherment,
    }];
    params.extended_key_usages = vec![match slot {
        KeySlot::Authentication => ExtendedKeyUsagePurpose::ClientAuth,
        KeySlot::Signature | KeySlot::Encryption | KeySlot::Root => ExtendedKeyUsagePurpose::EmailProtection,
    }];
    params
}

pub fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
