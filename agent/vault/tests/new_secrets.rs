//! The passphrase of a new account: it comes before the keys are made, by any way, and protects the file.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use life_pki::{KeySlot, PublicKey, csr};
use life_vault_protocol::*;
use support::people::*;
use support::*;

const P256: WorkingKeyAlgorithm = WorkingKeyAlgorithm::P256;

/// Finishes the account, and says whether the passphrase opens its file.
fn opens(vault: &mut Vault, account: Response, passphrase: &str) -> bool {
    let Response::Account { pending, authentication_csr, signature_csr, encryption_spki, .. } = account
    else {
        panic!("no account")
    };
    vault.call(&Request::CommitAccount { pending, time: now().unix() });
    let ca = Authority::new();
    let key = |request: &[u8]| csr::verify(request).unwrap().public_key;
    let certificates = [
        (KeySlot::Authentication, key(&authentication_csr)),
        (KeySlot::Signature, key(&signature_csr)),
        (KeySlot::Encryption, PublicKey::from_spki(&encryption_spki).unwrap()),
    ]
    .map(|(slot, key)| ca.issue(uid(ALICE), slot, &key).der().to_vec())
    .to_vec();
    let export = Request::ExportSoftwareCertificate { pending, certificates, issuers: vec![ca.der()] };
    let Response::Pkcs12(file) = vault.call(&export) else { panic!("no file") };
    match vault.call(&open_request(&file, passphrase)) {
        Response::Opened { session, .. } => {
            assert!(matches!(vault.call(&Request::Lock { session }), Response::Done));
            true
        }
        other => {
            assert_eq!(error_of(other), VaultError::WrongPassphrase);
            false
        }
    }
}

fn by_descriptor(vault: &mut Vault, entry: Entry, bytes: &[u8]) -> Response {
    let (read, mut write) = pipe();
    let source = NewSecretSource::Descriptor { timeout_seconds: 30, entry };
    let id = vault.send_with(&generate_from(uid(ALICE), P256, source), &[read.as_fd()]);
    drop(read);
    // The vault may hang up before all is written.
    let _ = write.write_all(bytes);
    drop(write);
    vault.wait(id)
}

#[test]
fn a_descriptor_gives_it_once_or_twice() {
    let mut vault = Vault::start();
    let twice = format!("{PASSPHRASE}\n{PASSPHRASE}\n");
    for (entry, text) in
        [(Entry::Once, PASSPHRASE), (Entry::Once, &format!("{PASSPHRASE}\n")), (Entry::Twice, &twice)]
    {
        let account = by_descriptor(&mut vault, entry, text.as_bytes());
        assert!(opens(&mut vault, account, PASSPHRASE));
    }
    for (entry, bytes, error) in [
        (Entry::Once, &b"eleven char"[..], VaultError::SecretTooShort),
        (Entry::Once, b"", VaultError::SecretUnusable),
        (Entry::Once, &[0xff; 20], VaultError::SecretUnusable),
        (Entry::Once, &[b'x'; 1026], VaultError::SecretUnusable),
        (Entry::Twice, b"correct horse\ncorrect house\n", VaultError::SecretsDiffer),
        (Entry::Twice, b"short\nshort\n", VaultError::SecretTooShort),
        (Entry::Twice, b"correct horse", VaultError::SecretUnusable),
    ] {
        assert_eq!(error_of(by_descriptor(&mut vault, entry, bytes)), error);
    }
    // Inline ones are judged alike.
    for (bytes, error) in [("eleven char", VaultError::SecretTooShort), ("", VaultError::SecretTooShort)] {
        let request = generate_from(uid(ALICE), P256, NewSecretSource::Inline(secret(bytes)));
        assert_eq!(vault.refusal(&request), error);
    }
    assert_eq!(vault.status(), (0, 0));
}

#[test]
fn one_that_the_vault_makes_is_delivered_before_the_account_is_made() {
    let mut vault = Vault::start();
    let request = || generate_from(uid(ALICE), P256, NewSecretSource::Generated);
    let (mut read, write) = std::io::pipe().unwrap();
    let id = vault.send_with(&request(), &[write.as_fd()]);
    drop(write);
    let account = vault.wait(id);
    let mut made = String::new();
    read.read_to_string(&mut made).unwrap();
    assert_eq!((made.len(), made.split('-').count()), (34, 7));
    assert!(opens(&mut vault, account, &made));

    // Nobody to read it, or no place for it: no account.
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let (unwritable, _write) = pipe();
    for fd in [OwnedFd::from(write), unwritable, std::fs::File::open("/dev/null").unwrap().into()] {
        let id = vault.send_with(&request(), &[fd.as_fd()]);
        assert_eq!(error_of(vault.wait(id)), VaultError::SecretUndelivered);
    }
    assert_eq!(vault.refusal(&request()), VaultError::Malformed);
    assert_eq!(vault.status(), (0, 0));
}

#[test]
fn waiting_for_it_ends_by_cancelling_locking_and_time() {
    let mut vault = Vault::start();
    let source = |timeout_seconds| NewSecretSource::Descriptor { timeout_seconds, entry: Entry::Once };
    let (read, _write) = pipe();
    let wait = |vault: &mut Vault, seconds| {
        vault.send_with(&generate_from(uid(ALICE), P256, source(seconds)), &[read.as_fd()])
    };
    let id = wait(&mut vault, 1);
    assert_eq!(error_of(vault.wait(id)), VaultError::SecretTimeout);
    let id = wait(&mut vault, 600);
    assert!(matches!(vault.call(&Request::CancelSecret { request: id }), Response::Done));
    assert_eq!(error_of(vault.wait(id)), VaultError::SecretWithdrawn);
    let id = wait(&mut vault, 600);
    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    assert_eq!(error_of(vault.wait(id)), VaultError::SecretWithdrawn);
    assert_eq!(vault.status(), (0, 0));
}
