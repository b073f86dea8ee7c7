//! Users with keys of the test's own, registered straight with the platform: for tests that need many of them, or keys
//! that no vault makes. What takes most of a registration by an agent is there to keep guessers of passphrases out.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use life_envelope::challenge;
use life_envelope::root_seal::RootKeySeal;
use life_pki::account_log::{Change, CredentialId, CredentialKeys, EntryBody};
use life_pki::{CredentialKind, KeySlot, ParticipantKind, PrivateKey, Timestamp, Uid, csr};
use life_sys::secret::{Key256, SecretBytes};
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKeyChain};
use rsa::BigUint;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rsa::sha2::{Digest, Sha256};
use rsa::traits::PrivateKeyParts;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::forge::sign;
use crate::{Platform, User};

/// The passphrase of all of them.
const PASSPHRASE: &str = "quiet-granite-harbour-%7731";

/// RSA keys that are quick to make: every pair of some primes is one. They keep no secret from each other.
pub struct RsaKeys {
    primes: Vec<BigUint>,
    next: (usize, usize),
}

impl RsaKeys {
    /// Room for so many keys of so many bits.
    #[must_use]
    pub fn new(bits: u32, count: usize) -> Self {
        let mut primes = Vec::new();
        while primes.len() * primes.len().saturating_sub(1) / 2 < count {
            let key = PrivateKey::generate_rsa(bits).unwrap();
            // EXPOSE: a key of the test's own, for its primes.
            let key = rsa::RsaPrivateKey::from_pkcs8_der(key.to_pkcs8().expose()).unwrap();
            primes.extend_from_slice(key.primes());
        }
        Self { primes, next: (0, 1) }
    }

    /// A key that was not there before. Panics when there is none left.
    pub fn take(&mut self) -> PrivateKey {
        let (first, second) = self.next;
        let [p, q] = [&self.primes[first], &self.primes[second]].map(Clone::clone);
        self.next = if first + 1 < second { (first + 1, second) } else { (0, second + 1) };
        let key = rsa::RsaPrivateKey::from_p_q(p, q, BigUint::from(65537u32)).unwrap();
        PrivateKey::from_pkcs8(key.to_pkcs8_der().unwrap().as_bytes()).unwrap()
    }
}

/// Registers a patient who has these keys, and whose software certificate has these certificates besides.
#[must_use]
pub fn patient(platform: &Platform, mut key: impl FnMut(KeySlot) -> PrivateKey, besides: &[Vec<u8>]) -> User {
    let [authentication, signature, encryption, root] =
        [KeySlot::Authentication, KeySlot::Signature, KeySlot::Encryption, KeySlot::Root].map(&mut key);
    let door = Door { platform, key: PrivateKey::generate_p256().unwrap() };
    let kind = ParticipantKind::Patient;
    let begun = door.begin(kind);
    let uid: Uid = begun["uid"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/registrations/{}", begun["registration"].as_str().unwrap());

    let request = |slot: KeySlot, key: &PrivateKey| {
        let to_sign = csr::to_be_signed(&uid, slot, key.public_key()).unwrap();
        encode(&csr::assemble(&to_sign, key.public_key(), &key.sign(&to_sign).unwrap()).unwrap())
    };
    let keys = json!({
        "authentication_csr": request(KeySlot::Authentication, &authentication),
        "signature_csr": request(KeySlot::Signature, &signature),
        "encryption_spki": encode(encryption.public_key().spki()),
        "root_spki": encode(root.public_key().spki()),
    });
    let challenges = door.call("PUT", &format!("{path}/keys"), &keys);
    let answer = |slot: KeySlot, key: &PrivateKey| {
        let envelope = decode(&challenges["challenges"][slot.name()]);
        // EXPOSE: the answer to a challenge.
        encode(challenge::open(&envelope, uid, slot, key).unwrap().expose())
    };
    let answers = json!({
        "ENCRYPTION": answer(KeySlot::Encryption, &encryption),
        "ROOT": answer(KeySlot::Root, &root),
    });

    let random = PrivateKey::generate_p256().unwrap().public_key().hash().0;
    let credential = CredentialId(*random.first_chunk().unwrap());
    let time = now();
    let keys = CredentialKeys {
        id: credential,
        kind: CredentialKind::SoftwareCertificate,
        authentication: authentication.public_key().hash(),
        signature: signature.public_key().hash(),
        encryption: encryption.public_key().hash(),
    };
    let genesis = sign(EntryBody::genesis(uid, kind, keys, time), &signature);
    let first = Change::NewRoot { generation: 1, spki_hash: root.public_key().hash() };
    let first = sign(EntryBody::after(&genesis, time, first), &signature);
    let seal = RootKeySeal {
        uid,
        credential_id: credential.0,
        generation: 1,
        // EXPOSE: a key of the test's own.
        root_key: SecretBytes::new(root.to_pkcs8().expose().to_vec()),
        history_key: Key256::take(&mut PrivateKey::generate_p256().unwrap().public_key().hash().0),
    };
    let commit = json!({
        "answers": answers,
        "log": [encode(genesis.to_der()), encode(first.to_der())],
        "seal": encode(&seal.seal(encryption.public_key()).unwrap()),
    });
    let committed = door.call("POST", &format!("{path}/commit"), &commit);

    let issuers = committed["issuers"].as_array().unwrap().iter().map(decode);
    let others: Vec<Vec<u8>> = issuers.chain(besides.iter().cloned()).collect();
    let slots = [
        ("LIFE authentication", KeySlot::Authentication, &authentication),
        ("LIFE signature", KeySlot::Signature, &signature),
        ("LIFE encryption", KeySlot::Encryption, &encryption),
    ];
    let slots = slots.map(|(name, slot, key)| (name, key, decode(&committed["certificates"][slot.name()])));
    User {
        name: format!("users/{uid}"),
        pkcs12: software_certificate(&slots, &others),
        passphrase: PASSPHRASE.into(),
    }
}

/// A PKCS#12 file that costs next to nothing to open.
fn software_certificate(slots: &[(&str, &PrivateKey, Vec<u8>)], others: &[Vec<u8>]) -> Vec<u8> {
    let mut store = KeyStore::new();
    let certificate = |der: &Vec<u8>| Certificate::from_der(der).unwrap();
    let mut others: Vec<_> = others.iter().map(certificate).collect();
    for (name, key, own) in slots {
        // EXPOSE: into the encrypted entry.
        let pkcs8 = p12_keystore::PrivateKey::from_der(key.to_pkcs8().expose()).unwrap();
        let chain = std::iter::once(certificate(own)).chain(std::mem::take(&mut others));
        let chain = PrivateKeyChain::new(key.public_key().hash().0.as_slice(), pkcs8, chain);
        store.add_entry(name, KeyStoreEntry::PrivateKeyChain(chain));
    }
    store.writer(PASSPHRASE).encryption_iterations(1000).mac_iterations(1000).write().unwrap()
}

/// The platform's registration, for one who has a key.
struct Door<'a> {
    platform: &'a Platform,
    key: PrivateKey,
}

impl Door<'_> {
    fn begin(&self, kind: ParticipantKind) -> Value {
        let spki = self.key.public_key().spki();
        let proof = self.key.sign(&[b"LIFE registration v1\0", spki].concat()).unwrap();
        let body = json!({ "kind": kind.name(), "key": encode(spki), "proof": encode(&proof) });
        exchange(self.platform, "POST", "/v1/registrations", "", &body.to_string())
    }

    /// A request with the proof that whoever began it makes it.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (body, seconds) = (body.to_string(), now().unix());
        let start = format!("LIFE registration request v1\0{method} {path}\n{seconds}\n");
        let proof = self.key.sign(&[start.as_bytes(), &Sha256::digest(&body)].concat()).unwrap();
        let proof = format!("life-registration-proof: {seconds}.{}\r\n", encode(&proof));
        exchange(self.platform, method, path, &proof, &body)
    }
}

/// One request over a connection of its own.
fn exchange(platform: &Platform, method: &str, path: &str, headers: &str, body: &str) -> Value {
    let mut roots = RootCertStore::empty();
    let root = fs::read(platform.dir().join("public/server-root.der")).unwrap();
    roots.add(CertificateDer::from(root)).unwrap();
    let config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(platform.origin.strip_prefix("https://").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}");
    write!(request, "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
    serde_json::from_str(body).unwrap()
}

fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix(i64::try_from(now.as_secs()).unwrap()).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn decode(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}
