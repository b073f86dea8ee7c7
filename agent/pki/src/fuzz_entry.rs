//! Bodies of the fuzz targets: one for each parser of bytes from outside. None may panic on any input.
//!
//! What a parser takes, it must give back unchanged: two spellings of one thing that is hashed or signed would be
//! two things. The workspace in `fuzz/` calls these functions with bytes from a fuzzer, an ordinary test with the
//! seeds in `testkit/corpus`.

use std::hint::black_box;

use der::asn1::AnyRef;
use der::{Decode, Encode, Reader, SliceReader};

use crate::account_log::{Entry, Pin, verify};
use crate::certificate::Certificate;
use crate::chain::{self, Purpose, Revocation};
use crate::kind::KeySlot;
use crate::receipt::Receipt;
use crate::{PrivateKey, PublicKey, Timestamp, TrustBundle, Uid, csr};

/// A moment in 2026 for whatever is judged by time.
fn now() -> Timestamp {
    Timestamp::from_unix(1_780_000_000).unwrap_or(Timestamp::EPOCH)
}

/// Reads a whole account log: DER entries one after the other.
pub fn account_log(bytes: &[u8]) {
    let _ = black_box(verify(&elements(bytes), now()));
}

/// Reads one entry of an account log.
pub fn account_log_entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::from_der(bytes) {
        assert_eq!(entry.to_der(), bytes, "an entry has two spellings");
        let body = entry.body().to_der();
        assert!(body.is_ok_and(|body| bytes.windows(body.len()).any(|part| part == body)));
    }
}

/// Reads a certificate.
pub fn certificate(bytes: &[u8]) {
    if let Ok(certificate) = Certificate::from_der(bytes) {
        assert_eq!(certificate.der(), bytes, "a certificate has two spellings");
        assert_eq!(certificate.uid().is_some(), certificate.slot().is_some());
        let _ = black_box(certificate.is_authority());
    }
}

/// Validates a chain with a list: leaf, intermediates, root and CRL, in DER one after the other.
pub fn chain(bytes: &[u8]) {
    let elements = elements(bytes);
    let [leaf, intermediates @ .., root, crl] = elements.as_slice() else { return };
    let Ok(root) = Certificate::from_der(root) else { return };
    let at = now();
    for slot in KeySlot::ALL {
        let revocation = Revocation::Crls { crls: &[crl], now: at };
        let purpose = Purpose::Slot(*slot);
        let _ = black_box(chain::verify(leaf, intermediates, &root, revocation, at, purpose));
    }
}

/// Reads a certification request.
pub fn csr(bytes: &[u8]) {
    let _ = black_box(csr::verify(bytes));
}

/// Reads a pin.
pub fn pin(bytes: &[u8]) {
    if let Ok(pin) = Pin::from_der(bytes) {
        assert!(pin.to_der().is_ok_and(|again| again == bytes), "a pin has two spellings");
    }
}

/// Reads a private key.
pub fn private_key(bytes: &[u8]) {
    let _ = black_box(PrivateKey::from_pkcs8(bytes).is_ok());
}

/// Reads a public key.
pub fn public_key(bytes: &[u8]) {
    if let Ok(key) = PublicKey::from_spki(bytes) {
        assert_eq!(key.spki(), bytes, "a public key has two spellings");
        let _ = black_box(key.verify(b"message", bytes));
    }
}

/// Reads a receipt and a root: a trust bundle, then the receipt, in DER.
pub fn receipt(bytes: &[u8]) {
    let elements = elements(bytes);
    let [bundle, receipt] = elements.as_slice() else { return };
    let Ok(bundle) = TrustBundle::from_der(bundle) else { return };
    let _ = black_box(Receipt::verify(receipt, &bundle.server_root, now()));
}

/// Reads the text forms: user ids, URNs and times.
pub fn text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(uid) = text.parse::<Uid>() {
        assert_eq!(uid.to_string(), text, "a user id has two spellings");
    }
    if let Ok(uid) = Uid::from_urn(text) {
        assert_eq!(uid.urn(), text, "a URN has two spellings");
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        assert_eq!(time.to_string(), text, "a time has two spellings");
    }
}

/// Reads a trust bundle.
pub fn trust_bundle(bytes: &[u8]) {
    if let Ok(bundle) = TrustBundle::from_der(bytes) {
        assert!(bundle.to_der().is_ok_and(|again| again == bytes), "a trust bundle has two spellings");
    }
}

/// Cuts a sequence of DER elements; whatever is no element is one piece at the end.
fn elements(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let next = SliceReader::new(rest).and_then(|mut reader| {
            let element = AnyRef::decode(&mut reader)?.to_der()?;
            Ok((element, usize::try_from(reader.remaining_len())?))
        });
        let Ok((element, remaining)) = next else {
            found.push(rest.to_vec());
            break;
        };
        found.push(element);
        rest = rest.get(rest.len() - remaining..).unwrap_or_default();
    }
    found
}
