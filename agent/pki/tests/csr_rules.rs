//! Certification requests: what is built verifies, what is changed does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use const_oid::db::rfc5912::ID_EXTENSION_REQ;
use der::asn1::{Any, BitString, SetOfVec};
use der::{Decode, Encode};
use life_pki::csr::{CsrError, MAX_REQUEST_SIZE, assemble, to_be_signed, verify};
use life_pki::key::KeyError;
use life_pki::profile::ProfileError;
use life_pki::{KeySlot, PrivateKey, Uid};
use x509_cert::request::{CertReq, CertReqInfo};

fn uid() -> Uid {
    Uid::from_random([3; 16])
}

fn request(slot: KeySlot, key: &PrivateKey) -> Vec<u8> {
    let tbs = to_be_signed(&uid(), slot, key.public_key()).unwrap();
    assemble(&tbs, key.public_key(), &key.sign(&tbs).unwrap()).unwrap()
}

/// A request whose signed part was edited before it was signed.
fn edited(key: &PrivateKey, edit: impl FnOnce(&mut CertReqInfo)) -> Result<(), CsrError> {
    let tbs = to_be_signed(&uid(), KeySlot::Signature, key.public_key()).unwrap();
    let mut info = CertReqInfo::from_der(&tbs).unwrap();
    edit(&mut info);
    let tbs = info.to_der().unwrap();
    verify(&assemble(&tbs, key.public_key(), &key.sign(&tbs).unwrap()).unwrap()).map(|_| ())
}

#[test]
fn requests_of_both_slots_and_families_verify() {
    for key in [PrivateKey::generate_p256().unwrap(), PrivateKey::generate_rsa(4096).unwrap()] {
        for slot in [KeySlot::Authentication, KeySlot::Signature] {
            let der = request(slot, &key);
            assert!(der.len() < MAX_REQUEST_SIZE);
            let request = verify(&der).unwrap();
            assert_eq!((request.uid, request.slot), (uid(), slot));
            assert_eq!(request.public_key, *key.public_key());
        }
    }
}

#[test]
fn keys_that_do_not_sign_get_no_request() {
    let key = PrivateKey::generate_p256().unwrap();
    for slot in [KeySlot::Encryption, KeySlot::Root] {
        assert_eq!(to_be_signed(&uid(), slot, key.public_key()), Err(CsrError::Slot));
    }
    // The right shape, but for the slot that must not sign: the key usage no longer fits.
    let verdict = edited(&key, |info| {
        info.subject = x509_cert::name::Name::from_der(
            &CertReqInfo::from_der(&to_be_signed(&uid(), KeySlot::Authentication, key.public_key()).unwrap())
                .unwrap()
                .subject
                .to_der()
                .unwrap(),
        )
        .unwrap();
    });
    assert_eq!(verdict, Err(CsrError::Profile(ProfileError::Usage)));
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused() {
    for key in [PrivateKey::generate_p256().unwrap(), PrivateKey::generate_rsa(2048).unwrap()] {
        let der = request(KeySlot::Signature, &key);
        for byte in 0..der.len() {
            for bit in 0..8 {
                let mut changed = der.clone();
                changed[byte] ^= 1 << bit;
                assert!(verify(&changed).is_err(), "byte {byte} bit {bit}");
            }
            assert!(verify(&der[..byte]).is_err());
        }
        assert!(verify(&[&der[..], &[0]].concat()).is_err());
    }
}

#[test]
fn what_is_asked_for_must_be_the_profile() {
    let key = PrivateKey::generate_p256().unwrap();
    assert_eq!(edited(&key, |_| ()), Ok(()));
    let extensions = CsrError::Profile(ProfileError::Extensions);
    assert_eq!(edited(&key, |info| info.attributes = SetOfVec::new()), Err(extensions));
    assert_eq!(
        edited(&key, |info| {
            let mut attribute = info.attributes.get(0).unwrap().clone();
            attribute.oid = const_oid::db::rfc2985::PKCS_9_AT_CHALLENGE_PASSWORD;
            info.attributes.insert(attribute).unwrap();
        }),
        Err(extensions)
    );
    assert_eq!(
        edited(&key, |info| {
            let mut values = SetOfVec::new();
            values.insert(Any::encode_from(&Vec::<x509_cert::ext::Extension>::new()).unwrap()).unwrap();
            info.attributes = SetOfVec::new();
            info.attributes.insert(x509_cert::attr::Attribute { oid: ID_EXTENSION_REQ, values }).unwrap();
        }),
        Err(extensions)
    );
    let other = PrivateKey::generate_p256().unwrap();
    let spki = spki::SubjectPublicKeyInfoOwned::from_der(other.public_key().spki()).unwrap();
    assert_eq!(edited(&key, |info| info.public_key = spki), Err(CsrError::Key(KeyError::BadSignature)));
}

#[test]
fn only_the_algorithms_of_the_suite_are_taken() {
    let key = PrivateKey::generate_rsa(2048).unwrap();
    let mut request = CertReq::from_der(&request(KeySlot::Signature, &key)).unwrap();
    request.algorithm.oid = const_oid::db::rfc5912::SHA_256_WITH_RSA_ENCRYPTION;
    request.algorithm.parameters = Some(Any::null());
    assert_eq!(verify(&request.to_der().unwrap()), Err(CsrError::Algorithm));
    request.algorithm.oid = const_oid::db::rfc5912::ID_RSASSA_PSS;
    request.algorithm.parameters = None;
    assert_eq!(verify(&request.to_der().unwrap()), Err(CsrError::Algorithm));
    request.signature = BitString::new(1, vec![0; 8]).unwrap();
    assert!(verify(&request.to_der().unwrap()).is_err());
}
