//! Replays the seeds of the fuzz targets on stable Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use common::author::{Author, now};
use common::authority::{Authority, day};
use life_pki::account_log::{Pin, verify};
use life_pki::receipt::Receipt;
use life_pki::{Certificate, CredentialKind, KeySlot, PrivateKey, TrustBundle, csr, fuzz_entry};

const TARGETS: &[replay::Target] = &[
    ("account_log", fuzz_entry::account_log),
    ("account_log_entry", fuzz_entry::account_log_entry),
    ("certificate", fuzz_entry::certificate),
    ("chain", fuzz_entry::chain),
    ("csr", fuzz_entry::csr),
    ("pin", fuzz_entry::pin),
    ("private_key", fuzz_entry::private_key),
    ("public_key", fuzz_entry::public_key),
    ("receipt", fuzz_entry::receipt),
    ("text", fuzz_entry::text),
    ("trust_bundle", fuzz_entry::trust_bundle),
];

#[test]
fn seeds_and_what_is_made_of_them_do_no_harm() {
    replay::replay(env!("CARGO_MANIFEST_DIR"), TARGETS);
}

#[test]
#[ignore = "writes the seeds anew"]
fn write_seeds() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/corpus").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    let mut author = Author::registered(1);
    author.add(0, CredentialKind::SmartCard);
    author.add(1, CredentialKind::AccessToken);
    author.rotate(1);
    author.revoke(1, 0);
    write("account_log", "registered", &author.ders()[..2].concat());
    write("account_log", "all-changes", &author.ders().concat());
    for (entry, name) in
        author.ders().iter().zip(["genesis", "first-root", "add", "add-token", "root", "revoke"])
    {
        write("account_log_entry", name, entry);
    }
    write("pin", "pin", &Pin::from_state(&verify(&author.ders(), now()).unwrap()).to_der().unwrap());

    let authority = Authority::new();
    let rsa = PrivateKey::generate_rsa(3072).unwrap();
    let p256 = PrivateKey::generate_p256().unwrap();
    for (key, family) in [(&rsa, "rsa"), (&p256, "p256")] {
        write("public_key", family, key.public_key().spki());
        // EXPOSE: a key made for this file and nothing else.
        write("private_key", family, key.to_pkcs8().expose());
        for slot in KeySlot::ALL {
            let leaf = authority.issue(&author.uid, *slot, key.public_key());
            write("certificate", &format!("{family}-{slot}"), &leaf);
            let crl = authority.crl(&[(&Certificate::from_der(&authority.issuing).unwrap(), 3)]);
            let parts = [&leaf, &authority.issuing, authority.root.der(), &crl];
            write("chain", &format!("{family}-{slot}"), &parts.concat());
        }
        for slot in [KeySlot::Authentication, KeySlot::Signature] {
            let tbs = csr::to_be_signed(&author.uid, slot, key.public_key()).unwrap();
            let request = csr::assemble(&tbs, key.public_key(), &key.sign(&tbs).unwrap()).unwrap();
            write("csr", &format!("{family}-{slot}"), &request);
        }
    }
    write("certificate", "root", authority.root.der());

    let bundle = TrustBundle::new(authority.root.clone(), Authority::new().root).unwrap().to_der().unwrap();
    write("trust_bundle", "bundle", &bundle);
    let receipt = Receipt { signature_digest: [7; 32], time: day(2026, 6, 10) };
    let signature = p256.sign(&receipt.signing_input().unwrap()).unwrap();
    let receipt = receipt.assemble(&authority.issue_receipt(p256.public_key(), |_| ()), &signature).unwrap();
    write("receipt", "receipt", &[bundle, receipt].concat());

    write("text", "uid", author.uid.to_string().as_bytes());
    write("text", "urn", author.uid.urn().as_bytes());
    write("text", "time", author.time.to_string().as_bytes());
}
