//! How long a request takes through the real vault. Run it with `--release --ignored --nocapture`.

mod support;

use std::io::Write;
use std::time::Instant;

use life_pki::{KeySlot, PrivateKey};
use life_vault_protocol::*;
use support::people::*;
use support::*;

#[test]
#[ignore = "measures, and asserts nothing"]
fn round_trips() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::Rsa3072);
    let mut vault = Vault::start_logging("info", std::process::Stdio::null());
    let session = vault.unlock(&alice, &ca);
    let tls = || Request::SignTls { session, input: tls_input() };
    let status = median(|| drop(vault.call(&Request::Status)));
    let signed = median(|| drop(vault.call(&tls())));
    let key: &PrivateKey = &alice.keys[0];
    let alone = median(|| drop(key.sign(&tls_input())));
    let mut out = std::io::stderr();
    writeln!(out, "status {status} us, signature {signed} us, of which RSA-3072 takes {alone} us").unwrap();
}

#[test]
#[ignore = "measures, and asserts nothing"]
fn slow_work() {
    let mut vault = Vault::start();
    let mut out = std::io::stderr();
    for algorithm in [WorkingKeyAlgorithm::P256, WorkingKeyAlgorithm::Rsa3072] {
        let start = Instant::now();
        let made = vault.generate(uid(ALICE), algorithm);
        let generated = start.elapsed().as_millis();
        vault.call(&Request::CommitAccount { pending: made.pending, time: 1 });
        let ca = Authority::new();
        let key = |csr: &[u8]| life_pki::csr::verify(csr).unwrap().public_key;
        let encryption = life_pki::PublicKey::from_spki(&made.encryption_spki).unwrap();
        let certificates = [
            (KeySlot::Authentication, key(&made.authentication_csr)),
            (KeySlot::Signature, key(&made.signature_csr)),
            (KeySlot::Encryption, encryption),
        ]
        .map(|(slot, key)| ca.issue(uid(ALICE), slot, &key).der().to_vec())
        .to_vec();
        let start = Instant::now();
        let export = Request::ExportSoftwareCertificate {
            pending: made.pending,
            certificates,
            issuers: vec![ca.der()],
            passphrase: secret(PASSPHRASE),
        };
        let Response::Pkcs12(file) = vault.call(&export) else { return };
        let exported = start.elapsed().as_millis();
        let start = Instant::now();
        drop(vault.call(&open_request(&file, PASSPHRASE)));
        let opened = start.elapsed().as_millis();
        let start = Instant::now();
        drop(vault.call(&open_request(&file, "wrong")));
        let refused = start.elapsed().as_millis();
        writeln!(
            out,
            "{algorithm:?}: generate {generated} ms, export {exported} ms, open {opened} ms, \
             refuse a wrong passphrase {refused} ms"
        )
        .unwrap();
    }
}

fn median(mut operation: impl FnMut()) -> u128 {
    let mut times: Vec<_> = (0..1000)
        .map(|_| {
            let start = Instant::now();
            operation();
            start.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
