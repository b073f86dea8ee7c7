//! A throwaway certification authority that issues certificates of our profiles.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails says where")]

use life_credentials::WORKING_SLOTS;
use life_envelope::root_seal::RootKeySeal;
use life_pki::account_log::{Change, CredentialId, CredentialKeys, Entry, EntryBody, Possession};
use life_pki::certificate::Certificate;
use life_pki::key::KeyAlgorithm;
use life_pki::profile::SlotProfile;
use life_pki::{CredentialKind, KeySlot, ParticipantKind, PrivateKey, PublicKey, Timestamp, Uid};
use life_sys::secret::{Key256, SecretBytes};
use p12_keystore::{KeyStore, KeyStoreEntry, PrivateKeyChain};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SignatureAlgorithm, date_time_ymd,
};

pub const ALICE: &str = "a11ce000-0000-4000-8000-000000000001";
pub const BOB: &str = "b0b00000-0000-4000-8000-000000000002";

pub fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

/// 2026-06-01, within the validity of [`Authority::issue`].
pub fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// A user root that issues directly.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&[(DnType::CommonName, "Throwaway root")]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    pub fn der(&self) -> Vec<u8> {
        self.der.clone()
    }

    /// Another certificate of an authority, with an extension of so many bytes.
    pub fn padded(len: usize) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let padding = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![7; len]);
        params.custom_extensions = vec![padding];
        params.self_signed(&key).unwrap().der().to_vec()
    }

    /// A certificate that is valid in the years 2026 and 2027.
    pub fn issue(&self, uid: Uid, slot: KeySlot, key: &PublicKey) -> Certificate {
        self.issue_for_years(uid, slot, key, 2026, 2028)
    }

    pub fn issue_for_years(
        &self,
        uid: Uid,
        slot: KeySlot,
        key: &PublicKey,
        from: i32,
        to: i32,
    ) -> Certificate {
        let profile = SlotProfile::of(slot);
        let urn = uid.urn();
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&[(DnType::CommonName, profile.common_name)]);
        params.distinguished_name.push(
            DnType::CustomDnType(vec![2, 5, 4, 5]),
            DnValue::PrintableString(urn.clone().try_into().unwrap()),
        );
        params.subject_alt_names = vec![SanType::URI(urn.try_into().unwrap())];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_identifier_method = KeyIdMethod::PreSpecified(key.hash().0.to_vec());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![match (slot, key.algorithm()) {
            (KeySlot::Authentication | KeySlot::Signature, _) => KeyUsagePurpose::DigitalSignature,
            (_, KeyAlgorithm::P256) => KeyUsagePurpose::KeyAgreement,
            (_, KeyAlgorithm::Rsa { .. }) => KeyUsagePurpose::KeyEncipherment,
        }];
        params.extended_key_usages = vec![match slot {
            KeySlot::Authentication => ExtendedKeyUsagePurpose::ClientAuth,
            _ => ExtendedKeyUsagePurpose::EmailProtection,
        }];
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let der = params.signed_by(&Subject(key), &self.issuer).unwrap().der().to_vec();
        Certificate::from_der(&der).unwrap()
    }
}

struct Subject<'a>(&'a PublicKey);

impl PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.bits()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.0.algorithm() {
            KeyAlgorithm::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

fn name(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    parts.iter().for_each(|(kind, text)| name.push(kind.clone(), *text));
    name
}

/// What keys to make.
#[derive(Clone, Copy)]
pub enum Keys {
    P256,
    Rsa2048,
    Rsa3072,
}

impl Keys {
    pub fn generate(self) -> PrivateKey {
        match self {
            Self::P256 => PrivateKey::generate_p256().unwrap(),
            Self::Rsa2048 => PrivateKey::generate_rsa(2048).unwrap(),
            Self::Rsa3072 => PrivateKey::generate_rsa(3072).unwrap(),
        }
    }
}

/// An account whose keys and log a test makes itself.
pub struct Account {
    pub uid: Uid,
    pub id: CredentialId,
    pub keys: [PrivateKey; 3],
    pub certificates: [Certificate; 3],
    pub root: PrivateKey,
    pub history_key: Key256,
    pub log: Vec<Vec<u8>>,
}

impl Account {
    pub fn new(ca: &Authority, uid: Uid, keys: Keys) -> Self {
        let own = WORKING_SLOTS.map(|_| keys.generate());
        let certificates = std::array::from_fn(|i| ca.issue(uid, WORKING_SLOTS[i], own[i].public_key()));
        let mut account = Self {
            uid,
            id: CredentialId([7; 16]),
            keys: own,
            certificates,
            root: PrivateKey::generate_p256().unwrap(),
            history_key: Key256::take(&mut [9; 32]),
            log: Vec::new(),
        };
        let genesis = EntryBody::genesis(uid, ParticipantKind::Patient, account.credential_keys(), now());
        account.append(genesis);
        account.append_change(Change::NewRoot { generation: 1, spki_hash: account.root.public_key().hash() });
        account
    }

    fn credential_keys(&self) -> CredentialKeys {
        let [authentication, signature, encryption] =
            [0, 1, 2].map(|i: usize| self.keys[i].public_key().hash());
        let kind = CredentialKind::SoftwareCertificate;
        CredentialKeys { id: self.id, kind, authentication, signature, encryption }
    }

    fn append(&mut self, body: EntryBody) {
        let signature = self.keys[1].sign(&body.signing_input().unwrap()).unwrap();
        let entry = Entry::assemble(body, self.keys[1].public_key(), signature, None).unwrap();
        self.log.push(entry.to_der().to_vec());
    }

    /// Adds another credential of this user to the log, which then revokes the first.
    pub fn revoke_by_another(&mut self) {
        let other = PrivateKey::generate_p256().unwrap();
        let fresh = || PrivateKey::generate_p256().unwrap().public_key().hash();
        let keys = CredentialKeys {
            id: CredentialId([8; 16]),
            kind: CredentialKind::SoftwareCertificate,
            authentication: fresh(),
            signature: other.public_key().hash(),
            encryption: fresh(),
        };
        let last = Entry::from_der(self.log.last().unwrap()).unwrap();
        let body = EntryBody::after(&last, now(), Change::AddCredential(keys));
        let possession = Possession {
            key: other.public_key().clone(),
            signature: other.sign(&body.possession_input().unwrap()).unwrap(),
        };
        let signature = self.keys[1].sign(&body.signing_input().unwrap()).unwrap();
        let added = Entry::assemble(body, self.keys[1].public_key(), signature, Some(possession)).unwrap();
        let body = EntryBody::after(&added, now(), Change::RevokeCredential(self.id));
        let signature = other.sign(&body.signing_input().unwrap()).unwrap();
        let revoked = Entry::assemble(body, other.public_key(), signature, None).unwrap();
        self.log.extend([added.to_der().to_vec(), revoked.to_der().to_vec()]);
    }

    pub fn append_change(&mut self, change: Change) {
        let last = Entry::from_der(self.log.last().unwrap()).unwrap();
        self.append(EntryBody::after(&last, now(), change));
    }

    /// The software certificate, with few iterations so that tests need not wait.
    pub fn file(&self, ca: &Authority, passphrase: &str) -> Vec<u8> {
        self.file_with(ca, passphrase, &[])
    }

    /// The software certificate with further certificates in it.
    pub fn file_with(&self, ca: &Authority, passphrase: &str, more: &[Vec<u8>]) -> Vec<u8> {
        let mut store = KeyStore::new();
        for ((slot, key), own) in WORKING_SLOTS.iter().zip(&self.keys).zip(&self.certificates) {
            let certificates =
                [own.der(), &ca.der()].map(|der| p12_keystore::Certificate::from_der(der).unwrap());
            let key_id = key.public_key().hash();
            let key = p12_keystore::PrivateKey::from_der(key.to_pkcs8().expose()).unwrap();
            let chain = PrivateKeyChain::new(key_id.0.as_slice(), key, certificates);
            store.add_entry(slot.name(), KeyStoreEntry::PrivateKeyChain(chain));
        }
        for (i, der) in more.iter().enumerate() {
            let certificate = p12_keystore::Certificate::from_der(der).unwrap();
            store.add_entry(&format!("more {i}"), KeyStoreEntry::Certificate(certificate));
        }
        store.writer(passphrase).encryption_iterations(1000).mac_iterations(1000).write().unwrap()
    }

    /// A good seal, after `change` had its way with what goes in.
    pub fn seal(&self, change: impl FnOnce(&mut RootKeySeal)) -> Vec<u8> {
        let mut seal = RootKeySeal {
            uid: self.uid,
            credential_id: self.id.0,
            generation: 1,
            root_key: SecretBytes::new(self.root.to_pkcs8().expose().to_vec()),
            history_key: Key256::from_slice(self.history_key.expose()).unwrap(),
        };
        change(&mut seal);
        seal.seal(self.keys[2].public_key()).unwrap()
    }
}
