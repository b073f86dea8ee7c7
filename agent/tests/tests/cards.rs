//! The rig of the smart cards itself: what programs that nobody here wrote see in it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use life_e2e::cards::{CardKey, PIN, PUK, Reader, SLOTS, fresh, personalised};
use life_e2e::dev::{openssl, text};

/// yubico-piv-tool looks for readers of its maker unless it is told.
const READER: [&str; 2] = ["--reader", "Virtual PCD"];

fn yubico(reader: &Reader, arguments: &[&str]) -> String {
    reader.runs("yubico-piv-tool", &[&READER, arguments].concat())
}

/// How many tries the card gives a PIN, asked without one.
fn tries(reader: &Reader) -> String {
    let said = reader.runs("piv-tool", &["-s", "00:20:00:80"]);
    let (_, status) = said.split_once("Received (").unwrap_or_else(|| panic!("piv-tool: {said}"));
    status.split(')').next().unwrap().to_owned()
}

#[test]
fn a_personalised_card_signs_for_openssl_to_verify() {
    let Some(reader) = Reader::start() else { return };
    for key in CardKey::ALL {
        let Some(folder) = personalised(key) else { return };
        let card = reader.insert(folder.path());
        let listed = reader.runs("pkcs15-tool", &["--list-certificates"]);
        assert_eq!(listed.matches("X.509 Certificate").count(), SLOTS.len(), "{listed}");
        for (slot, id) in SLOTS.iter().zip(["01", "02", "03"]) {
            let certificate = folder.path().join(format!("{slot}.pem"));
            let own = openssl(["x509", "-in", certificate.to_str().unwrap(), "-outform", "DER"]);
            let read = reader.path("read.der");
            let _said = reader.runs(
                "pkcs11-tool",
                &["--read-object", "--type", "cert", "--id", id, "--output-file", read.to_str().unwrap()],
            );
            assert_eq!(fs::read(&read).unwrap(), own, "{key:?} {slot}");
        }
        signs(&reader, key, &folder.path().join("9A.pem"));
        card.pull();
    }
}

/// Signs with slot 9A through OpenSC's PKCS#11 module; OpenSSL verifies.
fn signs(reader: &Reader, key: CardKey, certificate: &Path) {
    let [message, signature, public] = ["message", "signature", "public.pem"].map(|name| reader.path(name));
    fs::write(&message, "What was signed").unwrap();
    fs::write(&public, openssl(["x509", "-in", certificate.to_str().unwrap(), "-noout", "-pubkey"])).unwrap();
    let mechanism: &[&str] = match key {
        CardKey::P256 => &["ECDSA-SHA256", "--signature-format", "openssl"],
        CardKey::Rsa2048 | CardKey::Rsa3072 => &["SHA256-RSA-PKCS"],
    };
    let files = ["--input-file", message.to_str().unwrap(), "--output-file", signature.to_str().unwrap()];
    let sign = ["--login", "--pin", PIN, "--id", "01", "--sign", "--mechanism"];
    let _said = reader.runs("pkcs11-tool", &[&sign, mechanism, &files].concat());
    let verified = openssl([
        "dgst",
        "-sha256",
        "-verify",
        public.to_str().unwrap(),
        "-signature",
        signature.to_str().unwrap(),
        message.to_str().unwrap(),
    ]);
    assert_eq!(text(&verified), "Verified OK\n");
}

#[test]
fn yubicos_tool_agrees_about_the_card() {
    let Some(reader) = Reader::start() else { return };
    for key in [CardKey::P256, CardKey::Rsa2048] {
        let Some(folder) = personalised(key) else { return };
        let _card = reader.insert(folder.path());
        let certificate = folder.path().join("9D.pem");
        let proof = [
            "--action",
            "verify-pin",
            "--pin",
            PIN,
            "--slot",
            "9d",
            "--input",
            certificate.to_str().unwrap(),
        ];
        let said = yubico(&reader, &[&proof[..], &["--action", "test-decipher"]].concat());
        assert!(said.contains("Successfully performed"), "{said}");
    }
}

#[test]
fn a_wrong_pin_costs_a_try_and_the_puk_gives_them_back() {
    let Some(reader) = Reader::start() else { return };
    let folder = fresh();
    let _card = reader.insert(folder.path());
    assert_eq!(tries(&reader), "SW1=0x63, SW2=0xC3");
    for left in ["SW1=0x63, SW2=0xC2", "SW1=0x63, SW2=0xC1", "SW1=0x63, SW2=0xC0"] {
        let refused =
            reader.run("yubico-piv-tool", &[&READER[..], &["-a", "verify-pin", "-P", "654321"]].concat());
        assert!(!refused.status.success());
        assert_eq!(tries(&reader), left);
    }
    let said = yubico(&reader, &["-a", "unblock-pin", "-P", PUK, "-N", "24681357"]);
    assert!(said.contains("Successfully unblocked"), "{said}");
    let _said = yubico(&reader, &["-a", "verify-pin", "-P", "24681357"]);
    // The PIN was forgotten when that program let go of the card.
    assert_eq!(tries(&reader), "SW1=0x63, SW2=0xC3");
}

#[test]
fn a_card_keeps_what_it_was_and_two_are_not_alike() {
    let Some(reader) = Reader::start() else { return };
    let identity = |folder: &Path| {
        let card = reader.insert(folder);
        let said = yubico(&reader, &["-a", "status"]);
        card.pull();
        said.lines().find(|line| line.starts_with("CHUID:")).unwrap().to_owned()
    };
    let [first, second] = [fresh(), fresh()];
    let was = identity(first.path());
    assert_eq!(identity(first.path()), was);
    assert_ne!(identity(second.path()), was);
}

#[test]
fn a_card_that_is_pulled_out_in_mid_operation_is_gone_for_everybody() {
    let Some(reader) = Reader::start() else { return };
    let folder = fresh();
    let card = reader.insert_faulty(folder.path(), &["--die", "20:1"]);
    let refused = reader.run("yubico-piv-tool", &[&READER[..], &["-a", "verify-pin", "-P", PIN]].concat());
    assert!(!refused.status.success(), "{}", text(&refused.stdout));
    card.has_ended();
    let _again = reader.insert(folder.path());
    assert_eq!(tries(&reader), "SW1=0x63, SW2=0xC3", "the card never saw the PIN");
}
