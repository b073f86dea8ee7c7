//! The one spelling of an ECDSA P-256 signature.
//!
//! If (r, s) is a signature, so is (r, n - s), and nobody needs the key to write one for the other. Where a signature
//! is part of what is hashed, as in an account log, that would give one entry two hashes. There only the form with
//! the smaller s counts, and signers put theirs into it. Nothing here is secret.

use std::cmp::Ordering;

use der::asn1::UintRef;
use der::{Encode, Sequence};

use crate::asn1::decode_canonical;

/// A number of 256 bits, big-endian.
type Number = [u8; 32];

/// n, the order of P-256's base point (SP 800-186 §3.2.1.3).
const ORDER: Number = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// ECDSA-Sig-Value (RFC 3279 §2.2.3).
#[derive(Clone, Copy, Sequence)]
struct SigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// The spelling of a DER signature with the smaller s: the same bytes when they are it already.
///
/// Nothing for bytes that are no signature at all: another encoding than DER, or an s outside 1 to n - 1.
pub(crate) fn low_s(signature: &[u8]) -> Option<Vec<u8>> {
    let value: SigValue<'_> = decode_canonical(signature).ok()?;
    let s = number(value.s.as_bytes())?;
    let other = subtract(&ORDER, &s)?;
    if s == [0; 32] || s == ORDER {
        return None;
    }
    if s.cmp(&other) == Ordering::Less {
        return Some(signature.to_vec());
    }
    SigValue { r: value.r, s: UintRef::new(&other).ok()? }.to_der().ok()
}

/// Whether a signature is the DER encoding with the smaller s.
pub(crate) fn is_low_s(signature: &[u8]) -> bool {
    low_s(signature).is_some_and(|low| low == signature)
}

/// Pads a number of up to 32 bytes.
fn number(bytes: &[u8]) -> Option<Number> {
    let mut number = [0; 32];
    number.get_mut(32usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(number)
}

/// a - b, unless that is negative.
fn subtract(a: &Number, b: &Number) -> Option<Number> {
    let mut difference = [0; 32];
    let mut borrow = false;
    for (out, (a, b)) in difference.iter_mut().zip(a.iter().zip(b)).rev() {
        let (partial, first) = a.overflowing_sub(*b);
        let (digit, second) = partial.overflowing_sub(u8::from(borrow));
        *out = digit;
        borrow = first | second;
    }
    (!borrow).then_some(difference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PrivateKey;

    fn spell(r: &[u8], s: &[u8]) -> Vec<u8> {
        SigValue { r: UintRef::new(r).unwrap(), s: UintRef::new(s).unwrap() }.to_der().unwrap()
    }

    /// (n - 1) / 2, the largest s that counts.
    const HALF: Number = [
        0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xde,
        0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
    ];

    #[test]
    fn the_border_is_half_the_order() {
        let mut above = HALF;
        above[31] += 1;
        let mut last = ORDER;
        last[31] -= 1;
        assert!(is_low_s(&spell(&[5], &[1])));
        assert!(is_low_s(&spell(&[5], &HALF)));
        assert_eq!(low_s(&spell(&[5], &above)), Some(spell(&[5], &HALF)));
        assert_eq!(low_s(&spell(&[5], &last)), Some(spell(&[5], &[1])));
        let mut beyond = ORDER;
        beyond[0] = 0xff;
        beyond[4] = 1;
        for s in [&[0][..], &ORDER, &beyond, &[1; 33]] {
            assert_eq!(low_s(&spell(&[5], s)), None, "{s:?}");
        }
    }

    #[test]
    fn only_der_is_read() {
        let good = spell(&[5], &[6]);
        assert_eq!(low_s(&good), Some(good.clone()));
        assert_eq!(low_s(&[good.as_slice(), &[0]].concat()), None);
        for bad in [&[][..], &[0x30, 7, 2, 2, 0, 5, 2, 1, 6], &[0x30, 0x81, 6, 2, 1, 5, 2, 1, 6], &[0; 64]] {
            assert_eq!(low_s(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn both_spellings_verify_and_have_one_low_form() {
        let key = PrivateKey::generate_p256().unwrap();
        for message in 0..64u8 {
            let low = low_s(&key.sign(&[message]).unwrap()).unwrap();
            let value: SigValue<'_> = decode_canonical(&low).unwrap();
            let s = subtract(&ORDER, &number(value.s.as_bytes()).unwrap()).unwrap();
            let high = spell(value.r.as_bytes(), &s);
            assert!(is_low_s(&low) && !is_low_s(&high));
            assert_eq!(low_s(&high).as_ref(), Some(&low));
            assert_eq!(key.public_key().verify(&[message], &low), Ok(()));
            assert_eq!(key.public_key().verify(&[message], &high), Ok(()));
        }
    }
}
