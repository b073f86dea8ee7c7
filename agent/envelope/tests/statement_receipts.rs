//! Receipts over sharing statements travel in the envelope, within limits.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use life_envelope::{Envelope, Error, envelope};
use life_pki::PrivateKey;

#[test]
fn receipts_of_statements_come_back_and_are_bounded() {
    let key = PrivateKey::generate_p256().unwrap();
    let (der, content_key) = envelope::seal(b"content", &[key.public_key().clone()]).unwrap();
    let mut envelope = Envelope::parse(&der).unwrap();
    assert!(envelope.statement_receipts().is_empty());
    assert_eq!(envelope.add_statement_receipt(&vec![0; 32 * 1024 + 1]), Err(Error::TooLarge));
    for n in 0..64 {
        envelope.add_statement_receipt(&[b'r', n]).unwrap();
    }
    assert_eq!(envelope.add_statement_receipt(b"one more"), Err(Error::TooLarge));
    let with = envelope.to_der();
    let read = Envelope::parse(&with).unwrap();
    let mut receipts = read.statement_receipts().to_vec();
    receipts.sort();
    assert_eq!(receipts.len(), 64);
    assert_eq!(receipts[63], [b'r', 63]);
    assert_eq!(read.open(&content_key).unwrap(), b"content");
    assert_eq!(read.to_der(), with);
}
