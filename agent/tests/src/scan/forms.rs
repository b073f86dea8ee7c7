//! A secret, and the forms in which programs keep it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::BigUint;

/// What a secret is, which says what forms it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A key of symmetric cryptography, or the output of a key derivation.
    Key,
    /// A number that is used in arithmetic modulo another.
    Number {
        /// The modulus, big-endian; none where it is unknown to attackers too.
        modulus: Option<Vec<u8>>,
    },
    /// A prime that is a modulus itself.
    Prime,
    /// What a person types.
    Text,
}

/// A secret that is looked for.
#[derive(Clone, Debug)]
pub struct Secret {
    /// What it is called in findings.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its bytes, numbers big-endian.
    pub bytes: Vec<u8>,
}

impl Secret {
    /// A secret with a name.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Kind, bytes: &[u8]) -> Self {
        Self { name: name.into(), kind, bytes: bytes.to_vec() }
    }

    /// All its forms, each with a name.
    #[must_use]
    pub fn forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let bytes = &self.bytes;
        let mut forms = vec![
            ("raw", bytes.clone()),
            ("hex", hex::encode(bytes).into_bytes()),
            ("HEX", hex::encode_upper(bytes).into_bytes()),
        ];
        forms.extend(base64_forms(bytes).map(|form| ("base64", form)));
        match &self.kind {
            Kind::Text => {
                let units: Vec<u16> = String::from_utf8_lossy(bytes).encode_utf16().collect();
                forms.push(("UTF-16LE", units.iter().flat_map(|unit| unit.to_le_bytes()).collect()));
                // PKCS#12 derives from this one.
                forms.push(("UTF-16BE", units.iter().flat_map(|unit| unit.to_be_bytes()).collect()));
                forms.extend(hmac_pads(bytes));
            }
            Kind::Key => forms.extend(hmac_pads(bytes)),
            Kind::Number { modulus } => {
                let number = BigUint::from_bytes_be(bytes);
                forms.extend(limbs(&number, bytes.len()));
                if let Some(modulus) = modulus {
                    let r = BigUint::from(1u8) << (width(modulus.len()) * 8);
                    let montgomery = number * r % BigUint::from_bytes_be(modulus);
                    forms.push(("Montgomery", little_endian(&montgomery, modulus.len())));
                }
            }
            Kind::Prime => {
                let prime = BigUint::from_bytes_be(bytes);
                forms.extend(limbs(&prime, bytes.len()));
                let r = BigUint::from(1u8) << (width(bytes.len()) * 8);
                // Montgomery arithmetic keeps 2^k - p, which is R mod p, and R^2 mod p.
                let one = little_endian(&(&r - &prime), bytes.len());
                forms.push(("negated, big-endian", one.iter().rev().copied().collect()));
                forms.push(("negated", one));
                forms.push(("R^2", little_endian(&(&r * &r % &prime), bytes.len())));
            }
        }
        forms
    }
}

/// Bytes of whole words of 64 bits.
fn width(length: usize) -> usize {
    length.next_multiple_of(8)
}

fn little_endian(number: &BigUint, length: usize) -> Vec<u8> {
    let mut bytes = number.to_bytes_le();
    bytes.resize(width(length).max(bytes.len()), 0);
    bytes
}

/// A number in words as bignum libraries have it, and with 52 bits in each word, as AVX-512 code does.
fn limbs(number: &BigUint, length: usize) -> [(&'static str, Vec<u8>); 2] {
    let mask = BigUint::from((1u64 << 52) - 1);
    let radix52 = (0..(length * 8).div_ceil(52))
        .flat_map(|limb| little_endian(&((number >> (52 * limb)) & &mask), 8))
        .collect();
    [("little-endian", little_endian(number, length)), ("52 bits a word", radix52)]
}

/// Base64 at the three alignments, without the characters at the edges that depend on what stands beside.
fn base64_forms(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..3).map(|shift| {
        let text = STANDARD.encode([&[0; 2][..shift], bytes].concat()).into_bytes();
        let end = text.len() - if text.ends_with(b"=") { 4 } else { 0 };
        text[if shift == 0 { 0 } else { 4 }..end].to_vec()
    })
}

/// The first block of HMAC's inner and outer hash under this key (RFC 2104), whose key is at most a block.
fn hmac_pads(bytes: &[u8]) -> [(&'static str, Vec<u8>); 2] {
    let with = |pad: u8| bytes.iter().map(|byte| byte ^ pad).collect();
    [("HMAC's inner pad", with(0x36)), ("HMAC's outer pad", with(0x5c))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(secret: &Secret, name: &str) -> Vec<u8> {
        secret.forms().into_iter().find(|(form, _)| *form == name).unwrap().1
    }

    #[test]
    fn a_prime_has_its_montgomery_forms() {
        // 2^89 - 1, R = 2^128.
        let bytes = [&[1][..], &[0xff; 11]].concat();
        let prime = Secret::new("p", Kind::Prime, &bytes);
        let number = |form: &[u8]| BigUint::from_bytes_le(form);
        let p = BigUint::from_bytes_be(&bytes);
        let r = BigUint::from(1u8) << 128;
        assert_eq!(number(&form(&prime, "little-endian")), p);
        assert_eq!(number(&form(&prime, "negated")) + &p, r);
        assert_eq!(number(&form(&prime, "R^2")), BigUint::from(1u8) << (256 - 2 * 89));
        let words = form(&prime, "52 bits a word");
        assert_eq!(words, [0xf_ffff_ffff_ffffu64.to_le_bytes(), 0x1f_ffff_ffffu64.to_le_bytes()].concat());
    }

    #[test]
    fn a_number_is_found_in_montgomery_form_and_text_in_wide_characters() {
        let number =
            Secret::new("d", Kind::Number { modulus: Some(vec![0, 0, 0, 0, 0, 0, 0, 97]) }, &[0, 0, 0, 5]);
        // 5 * 2^64 mod 97.
        let expected = (5u128 << 64) % 97;
        assert_eq!(BigUint::from_bytes_le(&form(&number, "Montgomery")), BigUint::from(expected));
        let text = Secret::new("t", Kind::Text, b"ab");
        assert_eq!(form(&text, "UTF-16BE"), b"\0a\0b");
        assert_eq!(form(&text, "HMAC's inner pad"), [b'a' ^ 0x36, b'b' ^ 0x36]);
    }

    #[test]
    fn base64_is_found_at_each_alignment() {
        let secret = b"sixteen bytes of";
        for (before, form) in [&b""[..], b"x", b"xy"].into_iter().zip(base64_forms(secret)) {
            let text = STANDARD.encode([before, secret, b"tail"].concat());
            assert!(text.contains(std::str::from_utf8(&form).unwrap()), "{text}");
        }
    }
}
