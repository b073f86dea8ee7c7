//! Receipts, good and bad.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::authority::{Authority, day};
use life_pki::chain::ChainError;
use life_pki::profile::ProfileError;
use life_pki::receipt::{Receipt, ReceiptError};
use life_pki::{Certificate, KeySlot, PrivateKey, Timestamp, Uid};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};

const RECEIPT: fn() -> Receipt = || Receipt { signature_digest: [7; 32], time: day(2026, 6, 10) };

const NOW: fn() -> Timestamp = || day(2026, 6, 20);

fn sign(receipt: Receipt, certificate: &[u8], key: &PrivateKey) -> Vec<u8> {
    let signature = key.sign(&receipt.signing_input().unwrap()).unwrap();
    receipt.assemble(certificate, &signature).unwrap()
}

fn with_certificate(edit: impl FnOnce(&mut CertificateParams)) -> Result<Receipt, ReceiptError> {
    let authority = Authority::new();
    let key = PrivateKey::generate_p256().unwrap();
    let certificate = authority.issue_receipt(key.public_key(), edit);
    Receipt::verify(&sign(RECEIPT(), &certificate, &key), &authority.root, NOW())
}

#[test]
fn a_receipt_is_believed() {
    assert_eq!(with_certificate(|_| ()), Ok(RECEIPT()));
}

#[test]
fn only_the_receipt_certificate_signs_receipts() {
    let profile = |error| Err(ReceiptError::Chain(ChainError::Profile(error)));
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    assert_eq!(
        with_certificate(|params| params.subject_alt_names = vec![uri("urn:life:platform:tls")]),
        profile(ProfileError::Subject)
    );
    assert_eq!(
        with_certificate(|params| params.subject_alt_names.push(uri("urn:life:platform:tls"))),
        profile(ProfileError::Subject)
    );
    assert_eq!(
        with_certificate(|params| params.extended_key_usages.clear()),
        profile(ProfileError::Extensions)
    );
    assert_eq!(
        with_certificate(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        Err(ReceiptError::Chain(ChainError::WrongPurpose))
    );
    assert_eq!(with_certificate(|params| params.key_usages.clear()), profile(ProfileError::Extensions));
}

#[test]
fn a_user_signs_no_receipts() {
    let authority = Authority::new();
    let key = PrivateKey::generate_p256().unwrap();
    let uid = Uid::from_random([1; 16]);
    let certificate = authority.issue(&uid, KeySlot::Signature, key.public_key());
    let verdict = Receipt::verify(&sign(RECEIPT(), &certificate, &key), &authority.root, NOW());
    assert!(matches!(verdict, Err(ReceiptError::Chain(_))));
}

#[test]
fn time_root_and_signature_are_judged() {
    let authority = Authority::new();
    let key = PrivateKey::generate_rsa(2048).unwrap();
    let certificate = authority.issue_receipt(key.public_key(), |_| ());
    let good = sign(RECEIPT(), &certificate, &key);
    assert_eq!(Receipt::verify(&good, &authority.root, NOW()), Ok(RECEIPT()));
    assert!(Receipt::verify(&good, &Authority::new().root, NOW()).is_err());

    let late = Receipt { time: day(2030, 1, 1), ..RECEIPT() };
    let verdict = Receipt::verify(&sign(late, &certificate, &key), &authority.root, day(2030, 1, 1));
    assert_eq!(verdict, Err(ReceiptError::Chain(ChainError::Expired)));

    // From as far ahead as clocks may be, and from one second more.
    let early = |seconds| Receipt::verify(&good, &authority.root, RECEIPT().time.minus(seconds));
    assert_eq!(early(300), Ok(RECEIPT()));
    assert_eq!(early(301), Err(ReceiptError::FromTheFuture));

    let other = PrivateKey::generate_rsa(2048).unwrap();
    let verdict = Receipt::verify(&sign(RECEIPT(), &certificate, &other), &authority.root, NOW());
    assert!(matches!(verdict, Err(ReceiptError::Signature(_))));

    for byte in 0..good.len() {
        let mut changed = good.clone();
        changed[byte] ^= 1 << (byte % 8);
        assert!(Receipt::verify(&changed, &authority.root, NOW()).is_err(), "byte {byte}");
    }
    for length in 0..good.len() {
        assert!(Receipt::verify(&good[..length], &authority.root, NOW()).is_err(), "length {length}");
    }
    assert!(Certificate::from_der(&certificate).is_ok());
}
