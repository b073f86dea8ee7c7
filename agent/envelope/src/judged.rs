//! The ciphers and derivations of this crate against vectors and a second implementation that nobody here wrote:
//! Project Wycheproof, and crate `aes-gcm`. RSA and P-256 are judged in life-pki.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use life_sys::secret::Key256;
use proptest::prelude::*;
use wycheproof::{TestResult, aead, hkdf, keywrap};

use crate::stream::{FIRST_SEGMENT, Position, SEGMENT, StreamKey, TINK_HEADER};
use crate::{ContentKey, DocumentId, Envelope, envelope, recipient, root_seal};

fn key(bytes: &[u8]) -> Key256 {
    Key256::from_slice(bytes).unwrap()
}

#[test]
fn wycheproof_aes_gcm() {
    let mut count = 0;
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        if group.key_size != 256 || group.nonce_size != 96 || group.tag_size != 128 {
            continue;
        }
        // The product has no associated data, neither in envelopes nor in segments.
        for test in group.tests.iter().filter(|test| test.aad.is_empty()) {
            let nonce = test.nonce[..].try_into().unwrap();
            let envelope = Envelope::of_parts(nonce, &test.ct, test.tag[..].try_into().unwrap());
            let opened = envelope.open(&ContentKey::new(key(&test.key)));
            match test.result {
                TestResult::Invalid => assert!(opened.is_err(), "{}", test.tc_id),
                _ => assert!(opened.unwrap() == test.pt[..], "{}", test.tc_id),
            }
            count += 1;
        }
    }
    assert!(count > 20, "{count}");
}

#[test]
fn wycheproof_aes_key_wrap() {
    let (mut opened, mut refused) = (0, 0);
    for group in keywrap::TestSet::load(keywrap::TestName::AesKeyWrap).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.key.len() == 32) {
            let found = recipient::unwrap_aes(&key(&test.key), &test.ct);
            // Content keys have 32 bytes; a valid wrap of any other length is refused as well.
            if test.result == TestResult::Valid && test.pt.len() == 32 {
                assert!(found.unwrap().ct_eq(&test.pt), "{}", test.tc_id);
                opened += 1;
            } else {
                assert!(found.is_err(), "{}", test.tc_id);
                refused += 1;
            }
        }
    }
    assert!(opened > 3 && refused > 30, "{opened} {refused}");
}

#[test]
fn wycheproof_hkdf() {
    let mut count = 0;
    for group in hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
            let okm = root_seal::derive(&test.ikm, &test.salt, &test.info).unwrap();
            // The product derives 32 bytes; longer and shorter outputs have the same beginning (RFC 5869 §2.3).
            let common = test.okm.len().min(32);
            assert!(okm.expose()[..common] == test.okm[..common], "{}", test.tc_id);
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

fn second(key: &[u8], nonce: &[u8]) -> (Aes256Gcm, Nonce<aes_gcm::aead::consts::U12>) {
    (Aes256Gcm::new_from_slice(key).unwrap(), Nonce::try_from(nonce).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn aes_gcm_opens_our_envelopes(content: Vec<u8>) {
        let reader = life_pki::PrivateKey::generate_p256().unwrap();
        let (sealed, key) = envelope::seal(&content, &[reader.public_key().clone()]).unwrap();
        let envelope = Envelope::parse(&sealed).unwrap();
        let (nonce, ciphertext, tag) = envelope.parts();
        let (cipher, nonce) = second(key.expose(), nonce);
        let opened = cipher.decrypt(&nonce, &[ciphertext, tag].concat()[..]);
        prop_assert_eq!(opened.unwrap(), content);
    }

    #[test]
    fn our_envelopes_open_aes_gcm(key: [u8; 32], nonce: [u8; 12], content: Vec<u8>, spoil: Option<u16>) {
        let (cipher, number) = second(&key, &nonce);
        let mut sealed = cipher.encrypt(&number, &content[..]).unwrap();
        if let Some(at) = spoil {
            let at = usize::from(at) % sealed.len();
            sealed[at] ^= 0x20;
        }
        let (ciphertext, tag) = sealed.split_last_chunk().unwrap();
        let key = ContentKey::new(Key256::from_slice(&key).unwrap());
        let opened = Envelope::of_parts(nonce, ciphertext, *tag).open(&key).ok();
        prop_assert_eq!(opened, spoil.is_none().then_some(content));
    }

    #[test]
    fn aes_gcm_opens_our_segments(plaintext: Vec<u8>, header: [u8; TINK_HEADER], inner: bool) {
        let mut header = header;
        header[0] = TINK_HEADER as u8;
        let stream = StreamKey::for_fuzzing().unwrap();
        let mut sealer = crate::stream::Sealer::again(&stream, &header).unwrap();
        let mut number = 0u32;
        if inner {
            sealer.seal_segment(&mut vec![0; FIRST_SEGMENT], Position::Inner).unwrap();
            prop_assert_eq!(sealer.segment_size(), SEGMENT);
            number = 1;
        }
        let mut segment = if inner && plaintext.is_empty() { vec![1] } else { plaintext };
        let expected = segment.clone();
        let tag = sealer.seal_segment(&mut segment, Position::Last).unwrap();
        let segment_key = root_seal::derive(stream.expose(), &header[1..33], &stream.associated_data()).unwrap();
        let nonce = [&header[33..], &number.to_be_bytes(), &[1]].concat();
        let (cipher, nonce) = second(segment_key.expose(), &nonce);
        segment.extend_from_slice(&tag);
        let opened = cipher.decrypt(&nonce, Payload { msg: &segment, aad: b"" });
        prop_assert_eq!(&opened.unwrap(), &expected);

        let trailer = sealer.finish(Some(&expected)).unwrap();
        let (trailer, length) = trailer.split_last_chunk().unwrap();
        prop_assert_eq!(u32::from_be_bytes(*length) as usize, trailer.len());
        let key = root_seal::derive(stream.expose(), &header[1..33], b"LIFE stream trailer v1").unwrap();
        let (cipher, nonce) = second(key.expose(), &[0; 12]);
        let opened = cipher.decrypt(&nonce, Payload { msg: trailer, aad: &header });
        prop_assert_eq!(opened.unwrap(), expected);
        prop_assert_eq!(stream.document_id(), DocumentId([0x22; 16]));
    }
}
