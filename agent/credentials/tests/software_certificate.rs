//! Software certificates: our own files, damaged and foreign ones, and what OpenSSL and Java think of them.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use life_credentials::*;
use life_pki::certificate::Certificate;
use life_pki::{KeySlot, PrivateKey};
use life_sys::secret::SecretBytes;
use support::*;

const PASSPHRASE: &str = "Grüße-from-a-distinctive-passphrase-7";
const ASCII: &str = "a-distinctive-passphrase-7";

struct Entry {
    slot: KeySlot,
    key: PrivateKey,
    certificate: Certificate,
}

struct Made {
    ca: Authority,
    entries: Vec<Entry>,
}

impl Made {
    fn new(keys: Keys) -> Self {
        let ca = Authority::new();
        let entries = WORKING_SLOTS
            .iter()
            .map(|slot| {
                let key = keys.generate();
                let certificate = ca.issue(uid(ALICE), *slot, key.public_key());
                Entry { slot: *slot, key, certificate }
            })
            .collect();
        Self { ca, entries }
    }

    fn export(&self, passphrase: &str) -> Result<Vec<u8>, CredentialError> {
        let slots: Vec<_> = self
            .entries
            .iter()
            .map(|entry| ExportSlot { slot: entry.slot, key: &entry.key, certificate: &entry.certificate })
            .collect();
        export(&slots, &[self.ca.der()], &secret(passphrase))
    }
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn open(file: &[u8], passphrase: &str) -> Result<SoftwareCertificate, CredentialError> {
    SoftwareCertificate::open(file, &secret(passphrase), now())
}

fn refused(file: &[u8], passphrase: &str) -> CredentialError {
    open(file, passphrase).err().unwrap()
}

#[test]
fn what_was_exported_opens_and_works() {
    for keys in [Keys::P256, Keys::Rsa2048] {
        let made = Made::new(keys);
        let opened = open(&made.export(PASSPHRASE).unwrap(), PASSPHRASE).unwrap();
        assert_eq!(opened.uid(), uid(ALICE));
        assert_eq!(opened.issuers(), [made.ca.der()]);
        assert_eq!(opened.authentication().der(), made.entries[0].certificate.der());
        assert_eq!(opened.encryption().der(), made.entries[2].certificate.der());
        let signature = opened.signing().sign(b"message").unwrap();
        opened.signature().public_key().verify(b"message", &signature).unwrap();
        let signature = opened.signing().sign_authentication(b"message").unwrap();
        opened.authentication().public_key().verify(b"message", &signature).unwrap();
    }
}

#[test]
fn wrong_passphrase_and_damage_are_told_apart() {
    let file = Made::new(Keys::P256).export(ASCII).unwrap();
    assert_eq!(refused(&file, "another passphrase"), CredentialError::WrongPassphrase);
    assert_eq!(refused(&file, ""), CredentialError::UnusablePassphrase);
    assert_eq!(refused(&file, "emoji \u{1F600}"), CredentialError::UnusablePassphrase);
    assert_eq!(refused(&[], ASCII), CredentialError::Damaged);
    assert_eq!(refused(b"no PKCS#12 file", ASCII), CredentialError::Damaged);
    for len in [1, 10, file.len() / 2, file.len() - 1] {
        assert_eq!(refused(&file[..len], ASCII), CredentialError::Damaged);
    }
    assert_eq!(refused(&[file.as_slice(), &[0]].concat(), ASCII), CredentialError::Damaged);
    assert_eq!(refused(&vec![0x30; MAX_FILE + 1], ASCII), CredentialError::Damaged);
    // One bit, in the encrypted certificates, in an encrypted key, and in the MAC.
    for at in [file.len() / 3, file.len() * 3 / 4, file.len() - 40] {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        assert_eq!(refused(&damaged, ASCII), CredentialError::Damaged, "bit at {at} of {}", file.len());
    }
}

#[test]
fn absurd_iteration_counts_are_refused_before_any_work() {
    let file = Made::new(Keys::P256).export(ASCII).unwrap();
    let count = [0x02, 0x03, 0x09, 0x27, 0xc0];
    let places: Vec<_> = (0..=file.len() - 5).filter(|at| file[*at..at + 5] == count).collect();
    assert_eq!(places.len(), 5, "certificates, three keys and the MAC");
    for at in places {
        let mut absurd = file.clone();
        absurd[at + 2] = 0x7f;
        assert_eq!(refused(&absurd, ASCII), CredentialError::Damaged);
    }
}

#[test]
fn missing_slots_are_named() {
    for (missing, slot) in WORKING_SLOTS.iter().enumerate() {
        let mut made = Made::new(Keys::P256);
        made.entries.remove(missing);
        let file = made.export(ASCII).unwrap();
        assert_eq!(refused(&file, ASCII), CredentialError::MissingSlot(*slot));
    }
}

#[test]
fn validity_is_judged_at_the_time_given() {
    let file = Made::new(Keys::P256).export(ASCII).unwrap();
    let at = |time: &str| {
        SoftwareCertificate::open(&file, &secret(ASCII), time.parse().unwrap()).map(|opened| opened.uid())
    };
    assert_eq!(at("2026-01-01T00:00:00Z"), Ok(uid(ALICE)));
    assert_eq!(at("2025-12-31T23:59:59Z"), Err(CredentialError::NotYetValid));
    assert_eq!(at("2028-01-01T00:00:01Z"), Err(CredentialError::Expired));
}

#[test]
fn a_file_may_hold_a_trust_store() {
    let made = Made::new(Keys::P256);
    let slots: Vec<_> = (made.entries.iter())
        .map(|entry| ExportSlot { slot: entry.slot, key: &entry.key, certificate: &entry.certificate })
        .collect();
    let large = {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<_> = (0..1000).map(|i| format!("host-{i}.example.org")).collect();
        rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap().der().to_vec()
    };
    assert!(large.len() > MAX_CERTIFICATE);
    let mut issuers = vec![large.clone()];
    issuers.extend((0..20).map(|_| Authority::new().der()));
    let file = export(&slots, &issuers, &secret(ASCII)).unwrap();
    let opened = open(&file, ASCII).unwrap();
    assert_eq!(opened.uid(), uid(ALICE));
    assert_eq!(opened.issuers().len(), MAX_ISSUERS);
    assert!(!opened.issuers().contains(&large));
    // What could not be opened again is not made.
    let refused = export(&slots, &vec![large; 5], &secret(ASCII));
    assert_eq!(refused.err(), Some(CredentialError::Damaged));
}

#[test]
fn mixed_up_entries_are_inconsistent() {
    // Another user's certificate in one slot.
    let mut made = Made::new(Keys::P256);
    let key = made.entries[1].key.public_key().clone();
    made.entries[1].certificate = made.ca.issue(uid(BOB), KeySlot::Signature, &key);
    assert_eq!(refused(&made.export(ASCII).unwrap(), ASCII), CredentialError::Inconsistent);

    // Two keys for one slot: a certificate of the wrong profile.
    let mut made = Made::new(Keys::P256);
    let key = made.entries[1].key.public_key().clone();
    made.entries[1].certificate = made.ca.issue(uid(ALICE), KeySlot::Authentication, &key);
    assert_eq!(refused(&made.export(ASCII).unwrap(), ASCII), CredentialError::Inconsistent);

    // A key with another key's certificate does not even get in.
    let mut made = Made::new(Keys::P256);
    made.entries[1].key = PrivateKey::generate_p256().unwrap();
    assert_eq!(made.export(ASCII).unwrap_err(), CredentialError::Inconsistent);
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
}

/// Has OpenSSL pack one entry; `extra` are further options.
fn openssl_export(dir: &Path, entry: &Entry, ca: &Authority, extra: &[&str]) -> Vec<u8> {
    let path = |name: &str| dir.join(name);
    fs::write(path("key.pem"), pem("PRIVATE KEY", entry.key.to_pkcs8().expose())).unwrap();
    fs::write(path("cert.pem"), pem("CERTIFICATE", entry.certificate.der())).unwrap();
    fs::write(path("ca.pem"), pem("CERTIFICATE", &ca.der())).unwrap();
    let name = entry.slot.name().to_lowercase();
    run(Command::new("openssl")
        .args(["pkcs12", "-export", "-inkey", "key.pem", "-in", "cert.pem", "-certfile", "ca.pem"])
        .args(["-name", &name, "-passout", &format!("pass:{ASCII}"), "-out", "one.p12"])
        .args(extra)
        .current_dir(dir));
    fs::read(path("one.p12")).unwrap()
}

/// Has Java merge one file of OpenSSL's for each slot into one file.
fn java_merge(dir: &Path, made: &Made, extra: &[&str]) -> Vec<u8> {
    for entry in &made.entries {
        openssl_export(dir, entry, &made.ca, &[]);
        run(Command::new("keytool")
            .args(["-importkeystore", "-noprompt", "-srckeystore", "one.p12", "-srcstoretype", "PKCS12"])
            .args(["-srcstorepass", ASCII, "-destkeystore", "all.p12", "-deststoretype", "PKCS12"])
            .args(["-deststorepass", ASCII])
            .args(extra)
            .current_dir(dir));
    }
    fs::read(dir.join("all.p12")).unwrap()
}

#[test]
fn openssl_and_java_read_what_we_write() {
    let dir = tempfile::tempdir().unwrap();
    let file = Made::new(Keys::Rsa2048).export(ASCII).unwrap();
    fs::write(dir.path().join("ours.p12"), &file).unwrap();
    let pass = format!("pass:{ASCII}");
    let info = run(Command::new("openssl")
        .args(["pkcs12", "-info", "-in", "ours.p12", "-nodes", "-passin", &pass])
        .current_dir(dir.path()));
    let text = String::from_utf8(info.stdout).unwrap();
    assert_eq!(text.matches("BEGIN PRIVATE KEY").count(), 3);
    assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 4);
    for name in ["LIFE authentication", "LIFE signature", "LIFE encryption"] {
        assert!(text.contains(&format!("friendlyName: {name}")), "{name}");
    }
    let notes = String::from_utf8(info.stderr).unwrap();
    assert!(notes.contains("MAC: sha256, Iteration 600000"), "{notes}");
    assert!(notes.contains("PBES2, PBKDF2, AES-256-CBC, Iteration 600000, PRF hmacWithSHA256"), "{notes}");

    let list = run(Command::new("keytool")
        .args(["-list", "-v", "-keystore", "ours.p12", "-storepass", ASCII])
        .current_dir(dir.path()));
    let text = String::from_utf8(list.stdout).unwrap();
    assert_eq!(text.matches("Entry type: PrivateKeyEntry").count(), 3);
    assert_eq!(text.matches("Certificate chain length: 2").count(), 3);
}

#[test]
fn files_of_java_open_old_and_new() {
    for keys in [Keys::P256, Keys::Rsa2048] {
        let made = Made::new(keys);
        // `legacy`: 40-bit RC2 for the certificates, triple DES for the keys, MAC with SHA-1.
        for extra in [&[][..], &["-J-Dkeystore.pkcs12.legacy"]] {
            let dir = tempfile::tempdir().unwrap();
            let file = java_merge(dir.path(), &made, extra);
            let opened = open(&file, ASCII).unwrap();
            assert_eq!(opened.uid(), uid(ALICE));
            assert_eq!(opened.issuers(), [made.ca.der()]);
            assert_eq!(refused(&file, "another passphrase"), CredentialError::WrongPassphrase);
        }
    }
}

#[test]
fn files_of_openssl_are_read_old_and_new() {
    let dir = tempfile::tempdir().unwrap();
    let made = Made::new(Keys::Rsa2048);
    for extra in [&[][..], &["-legacy"]] {
        // OpenSSL packs one key a file: the next slot is missing, which shows that this one was read.
        let file = openssl_export(dir.path(), &made.entries[0], &made.ca, extra);
        assert_eq!(refused(&file, ASCII), CredentialError::MissingSlot(KeySlot::Signature));
        assert_eq!(refused(&file, "another passphrase"), CredentialError::WrongPassphrase);
    }
    for extra in [&["-nomac"][..], &["-legacy", "-nomac"]] {
        let file = openssl_export(dir.path(), &made.entries[0], &made.ca, extra);
        assert_eq!(refused(&file, ASCII), CredentialError::Damaged);
    }
}

#[test]
fn the_first_look_survives_anything() {
    let file = Made::new(Keys::P256).export(ASCII).unwrap();
    for at in 0..file.len() {
        fuzz_entry::pkcs12(&file[..at]);
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = file.clone();
            changed[at] ^= flip;
            fuzz_entry::pkcs12(&changed);
        }
    }
}
