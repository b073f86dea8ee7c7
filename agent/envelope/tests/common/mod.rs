//! What the integration tests share: a test CA, users with keys and certificates, and signing in one go.
#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod kit;
pub mod tree;

use life_envelope::stream::{self, StreamHeader, StreamKey, TINK_HEADER, TrailerKey};
use life_envelope::{
    DocumentContext, DocumentId, Form, ListedRecipient, OwnKey, Purpose, SignedAttributes, recipient,
    signature,
};
use life_pki::time::Timestamp;
use life_pki::{PrivateKey, Uid};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};

/// 2026-06-01T00:00:00Z.
pub const NOW: i64 = 1_780_272_000;

/// A key with its certificate and owner.
pub struct User {
    pub uid: Uid,
    pub key: PrivateKey,
    pub certificate: Vec<u8>,
}

/// A throwaway CA.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: Vec<u8>,
}

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Encrypt,
    Sign,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("LIFE test root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Issues a certificate as FORMATS §1 wants it: subjectKeyIdentifier is the SHA-256 of the key.
    pub fn issue(&self, key: PrivateKey, usage: Use) -> User {
        let mut seed = [0; 16];
        aws_lc_rs::rand::fill(&mut seed).unwrap();
        self.issue_to(Uid::from_random(seed), key, usage)
    }

    pub fn issue_to(&self, uid: Uid, key: PrivateKey, usage: Use) -> User {
        let mut seed = [0; 16];
        aws_lc_rs::rand::fill(&mut seed).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = name("LIFE test user");
        params.subject_alt_names = vec![SanType::URI(uid.urn().try_into().unwrap())];
        params.serial_number = Some(SerialNumber::from_slice(&[&[1], &seed[..15]].concat()));
        params.key_identifier_method = KeyIdMethod::PreSpecified(key.public_key().hash().0.to_vec());
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
        let rsa = matches!(key.public_key().algorithm(), life_pki::key::KeyAlgorithm::Rsa { .. });
        params.key_usages = vec![match usage {
            Use::Sign => KeyUsagePurpose::DigitalSignature,
            Use::Encrypt if rsa => KeyUsagePurpose::KeyEncipherment,
            Use::Encrypt => KeyUsagePurpose::KeyAgreement,
        }];
        let certificate = params.signed_by(&Subject(key.public_key()), &self.issuer).unwrap().der().to_vec();
        User { uid, key, certificate }
    }

    pub fn rsa(&self, usage: Use) -> User {
        self.issue(PrivateKey::generate_rsa(2048).unwrap(), usage)
    }

    pub fn p256(&self, usage: Use) -> User {
        self.issue(PrivateKey::generate_p256().unwrap(), usage)
    }
}

/// Lets rcgen write a key of ours into a certificate.
struct Subject<'a>(&'a life_pki::PublicKey);

impl rcgen::PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.bits()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.0.algorithm() {
            life_pki::key::KeyAlgorithm::Rsa { .. } => &rcgen::PKCS_RSA_SHA256,
            life_pki::key::KeyAlgorithm::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

pub fn now() -> Timestamp {
    Timestamp::from_unix(NOW).unwrap()
}

impl User {
    pub fn listed(&self) -> ListedRecipient {
        ListedRecipient { uid: self.uid, root_key: self.key.public_key().hash() }
    }

    pub fn context(&self, purpose: Purpose, recipients: &[&Self]) -> DocumentContext {
        let form = if purpose == Purpose::Share { Form::Statement } else { Form::Content };
        self.context_over(purpose, form, recipients)
    }

    pub fn context_over(&self, purpose: Purpose, form: Form, recipients: &[&Self]) -> DocumentContext {
        let recipients = recipients.iter().map(|it| it.listed()).collect();
        DocumentContext::new(purpose, form, self.uid, DocumentId([5; 16]), 1, recipients).unwrap()
    }

    /// The key of a sealed stream, out of its header.
    pub fn stream_key(&self, header: &[u8]) -> StreamKey {
        let header = StreamHeader::parse(header).unwrap();
        let own = OwnKey::from_certificate(&self.certificate).unwrap();
        let info = header.envelope().find(&[own]).unwrap();
        header.open(&recipient::unwrap(info, &self.key).unwrap()).unwrap()
    }

    /// What a recipient can do: the same stream with another trailer.
    pub fn with_trailer(&self, sealed: &[u8], signed_data: Option<&[u8]>) -> Vec<u8> {
        let (body, _) = split_trailer(sealed);
        let (header, rest) = body.split_at(stream::header_length(body).unwrap().unwrap());
        let tink: &[u8; TINK_HEADER] = rest.first_chunk().unwrap();
        let key = TrailerKey::derive(&self.stream_key(header), tink).unwrap();
        [body, &key.seal(signed_data).unwrap()].concat()
    }

    pub fn attributes(&self, content: &[u8], context: DocumentContext) -> SignedAttributes {
        let digest = signature::content_digest(content);
        SignedAttributes::build(digest, now(), &self.certificate, context).unwrap()
    }

    /// Builds, signs and assembles, with the content enclosed.
    pub fn sign(&self, content: &[u8], context: DocumentContext) -> Vec<u8> {
        let attributes = self.attributes(content, context);
        let value = self.key.sign(&attributes.to_der()).unwrap();
        signature::assemble(Some(content), &attributes, &value, std::slice::from_ref(&self.certificate))
            .unwrap()
    }

    pub fn sign_detached(&self, content: &[u8]) -> Vec<u8> {
        let attributes = self.attributes(content, self.context(Purpose::Detached, &[]));
        let value = self.key.sign(&attributes.to_der()).unwrap();
        signature::assemble(None, &attributes, &value, std::slice::from_ref(&self.certificate)).unwrap()
    }
}

/// A sealed stream up to its last segment, and what follows that: the sealed trailer and its length.
pub fn split_trailer(sealed: &[u8]) -> (&[u8], &[u8]) {
    let (_, length) = sealed.split_last_chunk().unwrap();
    sealed.split_at(sealed.len() - 4 - u32::from_be_bytes(*length) as usize)
}

/// Runs a judge and gives its output. A judge that is missing fails the test and says what to install.
pub fn judge(program: &str, package: &str, arguments: &[&str]) -> std::process::Output {
    std::process::Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program} ({error}): install {package}"))
}

/// A temporary folder with files for a judge.
pub struct Files(tempfile::TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn write_pem(&self, name: &str, label: &str, der: &[u8]) -> String {
        let text = der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap();
        self.write(name, text.as_bytes())
    }

    /// Writes NAME.crt and NAME.key; gives both paths.
    pub fn write_user(&self, name: &str, user: &User) -> (String, String) {
        let certificate = self.write_pem(&format!("{name}.crt"), "CERTIFICATE", &user.certificate);
        let key = self.write_pem(&format!("{name}.key"), "PRIVATE KEY", user.key.to_pkcs8().expose());
        (certificate, key)
    }
}
