//! What a lying platform could make by itself: accounts with keys of its own, entries, seals.

use std::process::Command;

use life_envelope::root_seal::RootKeySeal;
use life_pki::account_log::{Change, CredentialId, CredentialKeys, Entry, EntryBody};
use life_pki::time::Timestamp;
use life_pki::{CredentialKind, ParticipantKind, PrivateKey, Uid};
use life_sys::secret::{Key256, SecretBytes};

use crate::User;

/// An account log with its keys.
pub struct ForgedAccount {
    /// The first working credential's signature key.
    pub signature: PrivateKey,
    /// The root credential's key.
    pub root: PrivateKey,
    /// Genesis and first root, DER.
    pub log: Vec<Vec<u8>>,
}

/// Makes a well-formed account for somebody else's user id, with fresh keys.
#[must_use]
pub fn account(uid: Uid) -> ForgedAccount {
    let key = || PrivateKey::generate_p256().unwrap();
    let (authentication, signature, encryption, root) = (key(), key(), key(), key());
    let keys = CredentialKeys {
        id: CredentialId([7; 16]),
        kind: CredentialKind::SoftwareCertificate,
        authentication: authentication.public_key().hash(),
        signature: signature.public_key().hash(),
        encryption: encryption.public_key().hash(),
    };
    let time = Timestamp::from_unix(1_750_000_000).unwrap();
    let genesis = sign(EntryBody::genesis(uid, ParticipantKind::Patient, keys, time), &signature);
    let first = Change::NewRoot { generation: 1, spki_hash: root.public_key().hash() };
    let first = sign(EntryBody::after(&genesis, time, first), &signature);
    let log = vec![genesis.to_der().to_vec(), first.to_der().to_vec()];
    ForgedAccount { signature, root, log }
}

/// Signs an entry.
#[must_use]
pub fn sign(body: EntryBody, key: &PrivateKey) -> Entry {
    let signature = key.sign(&body.signing_input().unwrap()).unwrap();
    Entry::assemble(body, key.public_key(), signature, None).unwrap()
}

/// Seals a root key of the forger's own to a user's encryption key.
#[must_use]
pub fn seal(uid: Uid, credential_id: [u8; 16], root: &PrivateKey, to: &life_pki::PublicKey) -> Vec<u8> {
    let seal = RootKeySeal {
        uid,
        credential_id,
        generation: 1,
        // EXPOSE: a key of the test's own.
        root_key: SecretBytes::new(root.to_pkcs8().expose().to_vec()),
        history_key: Key256::take(&mut [9; 32]),
    };
    seal.seal(to).unwrap()
}

/// The private keys in a user's software certificate, taken out by OpenSSL.
#[must_use]
pub fn keys_of(user: &User) -> Vec<PrivateKey> {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("user.p12");
    std::fs::write(&file, &user.pkcs12).unwrap();
    let out = Command::new("openssl")
        .args(["pkcs12", "-nodes", "-nocerts", "-passin"])
        .arg(format!("pass:{}", String::from_utf8_lossy(&user.passphrase)))
        .arg("-in")
        .arg(&file)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let keys = keys_in(&out.stdout);
    assert_eq!(keys.len(), 3, "one key a slot");
    keys
}

/// Every private key in some bytes: PKCS#8 in DER or in PEM.
#[must_use]
pub fn keys_in(bytes: &[u8]) -> Vec<PrivateKey> {
    let mut keys: Vec<_> = PrivateKey::from_pkcs8(bytes).into_iter().collect();
    let text = String::from_utf8_lossy(bytes);
    for block in text.split("-----BEGIN PRIVATE KEY-----").skip(1) {
        let body: String = block.split("-----END").next().unwrap().split_whitespace().collect();
        if let Ok(der) = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body) {
            keys.extend(PrivateKey::from_pkcs8(&der));
        }
    }
    keys
}

/// A certificate for a root key, issued with the platform's own issuing key by OpenSSL: a CA that lies.
#[must_use]
pub fn root_certificate(platform: &crate::Platform, uid: Uid, key: &life_pki::PublicKey) -> Vec<u8> {
    let dir = tempfile::TempDir::new().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("key.der"), key.spki()).unwrap();
    let extensions = format!(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyAgreement\nextendedKeyUsage=emailProtection\n\
         subjectAltName=URI:{}\nsubjectKeyIdentifier={}\nauthorityKeyIdentifier=keyid\n",
        uid.urn(),
        key.hash()
    );
    std::fs::write(file("extensions"), extensions).unwrap();
    let openssl = |arguments: &[&std::ffi::OsStr]| {
        let out = Command::new("openssl").args(arguments).output().unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    let subject = format!("/CN=LIFE root/serialNumber={}", uid.urn());
    let (issuer, issuer_key) =
        (platform.dir().join("public/user-issuing.der"), platform.dir().join("ca/issuing.key"));
    openssl(&[
        "x509".as_ref(),
        "-new".as_ref(),
        "-force_pubkey".as_ref(),
        file("key.der").as_os_str(),
        "-subj".as_ref(),
        subject.as_ref(),
        "-CA".as_ref(),
        issuer.as_os_str(),
        "-CAkey".as_ref(),
        issuer_key.as_os_str(),
        "-days".as_ref(),
        "100".as_ref(),
        "-extfile".as_ref(),
        file("extensions").as_os_str(),
        "-outform".as_ref(),
        "DER".as_ref(),
        "-out".as_ref(),
        file("certificate.der").as_os_str(),
    ]);
    std::fs::read(file("certificate.der")).unwrap()
}
