//! Project Wycheproof judges the key operations: PSS, ECDSA, ECDH and OAEP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{Encode, Sequence};
use life_pki::key::{EC_PUBLIC_KEY, P256, RSA_ENCRYPTION};
use life_pki::{PrivateKey, PublicKey};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use wycheproof::{HashFunction, TestResult, ecdh, ecdsa, rsa_oaep, rsa_pss_verify};

/// A verdict that Wycheproof allows. What it calls acceptable may go either way.
#[track_caller]
fn check(expected: &TestResult, ok: bool, what: &str) {
    match expected {
        TestResult::Valid => assert!(ok, "{what} must pass"),
        TestResult::Invalid => assert!(!ok, "{what} must fail"),
        TestResult::Acceptable => {}
    }
}

fn rsa_spki(pkcs1: &[u8]) -> Vec<u8> {
    let algorithm = AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) };
    let subject_public_key = BitStringRef::from_bytes(pkcs1).unwrap();
    SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der().unwrap()
}

#[test]
fn pss_signatures() {
    use rsa_pss_verify::TestName::{
        RsaPss2048Sha256Mgf1SaltLen0, RsaPss2048Sha256Mgf1SaltLen32, RsaPss2048Sha256Mgf1SaltLen32WithParams,
        RsaPss3072Sha256Mgf1SaltLen32, RsaPss3072Sha256Mgf1SaltLen32WithParams,
        RsaPss4096Sha256Mgf1SaltLen32, RsaPssmisc,
    };
    let mut tests = 0;
    for name in [
        RsaPss2048Sha256Mgf1SaltLen0,
        RsaPss2048Sha256Mgf1SaltLen32,
        RsaPss2048Sha256Mgf1SaltLen32WithParams,
        RsaPss3072Sha256Mgf1SaltLen32,
        RsaPss3072Sha256Mgf1SaltLen32WithParams,
        RsaPss4096Sha256Mgf1SaltLen32,
        RsaPssmisc,
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            if !(2048..=4096).contains(&group.key_size) {
                assert!(PublicKey::from_spki(&rsa_spki(&group.asn_key)).is_err());
                continue;
            }
            let key = PublicKey::from_spki(&rsa_spki(&group.asn_key)).unwrap();
            let ours = group.hash == HashFunction::Sha2_256
                && group.mgf_hash == Some(HashFunction::Sha2_256)
                && group.salt_size == 32;
            for test in group.tests {
                let what = format!("{name:?} {}", test.tc_id);
                let ok = key.verify(&test.msg, &test.sig).is_ok();
                if ours {
                    check(&test.result, ok, &what);
                } else {
                    // An invalid signature for other parameters may be a valid one for ours.
                    let foreign = test.result == TestResult::Valid;
                    assert!(!(ok && foreign), "{what}: other parameters than the suite's");
                }
                tests += 1;
            }
        }
    }
    assert!(tests > 500, "{tests}");
}

#[test]
fn ecdsa_signatures() {
    let mut tests = 0;
    for group in ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256).unwrap().test_groups {
        let key = PublicKey::from_spki(&group.der).unwrap();
        for test in group.tests {
            check(&test.result, key.verify(&test.msg, &test.sig).is_ok(), &format!("{}", test.tc_id));
            tests += 1;
        }
    }
    assert!(tests > 400, "{tests}");
    for name in [ecdsa::TestName::EcdsaSecp384r1Sha384, ecdsa::TestName::EcdsaSecp256k1Sha256] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            assert!(PublicKey::from_spki(&group.der).is_err(), "{name:?}");
        }
    }
}

#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: &'a OctetStringRef,
}

#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    version: u8,
    algorithm: EcAlgorithm,
    private_key: &'a OctetStringRef,
}

#[derive(Sequence)]
struct EcAlgorithm {
    oid: ObjectIdentifier,
    curve: ObjectIdentifier,
}

/// A PKCS#8 key around a scalar.
fn p256_key(scalar: &[u8]) -> PrivateKey {
    let digits = scalar.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<_>>();
    let scalar = [&vec![0; 32 - digits.len()][..], &digits].concat();
    let inner =
        EcPrivateKey { version: 1, private_key: OctetStringRef::new(&scalar).unwrap() }.to_der().unwrap();
    let key = PrivateKeyInfo {
        version: 0,
        algorithm: EcAlgorithm { oid: EC_PUBLIC_KEY, curve: P256 },
        private_key: OctetStringRef::new(&inner).unwrap(),
    };
    PrivateKey::from_pkcs8(&key.to_der().unwrap()).unwrap()
}

#[test]
fn ecdh_agreements() {
    let mut tests = 0;
    for (name, is_point) in
        [(ecdh::TestName::EcdhSecp256r1, false), (ecdh::TestName::EcdhSecp256r1Ecpoint, true)]
    {
        for test in ecdh::TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
            let point = if is_point {
                Some(test.public_key.to_vec())
            } else {
                PublicKey::from_spki(&test.public_key).ok().map(|key| key.bits().to_vec())
            };
            let shared = point.and_then(|point| p256_key(&test.private_key).ecdh(&point).ok());
            let what = format!("{name:?} {} {}", test.tc_id, test.comment);
            check(&test.result, shared.is_some(), &what);
            if let Some(shared) = shared {
                assert!(shared.ct_eq(&test.shared_secret), "{what}");
            }
            tests += 1;
        }
    }
    assert!(tests > 500, "{tests}");
}

#[test]
fn oaep_decryptions() {
    use rsa_oaep::TestName::{
        Rsa2048Sha256Mgf1Sha256, Rsa3072Sha256Mgf1Sha256, Rsa4096Sha256Mgf1Sha256, RsaMisc,
    };
    let mut tests = 0;
    for name in [Rsa2048Sha256Mgf1Sha256, Rsa3072Sha256Mgf1Sha256, Rsa4096Sha256Mgf1Sha256, RsaMisc] {
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            if !(2048..=4096).contains(&group.key_size) {
                assert!(PrivateKey::from_pkcs8(&group.pkcs8).is_err());
                continue;
            }
            let Ok(key) = PrivateKey::from_pkcs8(&group.pkcs8) else {
                panic!("{name:?}: a key of {} bits", group.key_size);
            };
            let ours = group.hash == HashFunction::Sha2_256 && group.mgf_hash == HashFunction::Sha2_256;
            for test in group.tests {
                let what = format!("{name:?} {}", test.tc_id);
                let opened = key.oaep_decrypt(&test.ct);
                if ours && test.label.is_empty() {
                    check(&test.result, opened.is_ok(), &what);
                    if let Ok(opened) = opened {
                        assert!(opened.ct_eq(&test.pt), "{what}");
                    }
                } else {
                    assert!(opened.is_err(), "{what}: other parameters than the suite's");
                }
                tests += 1;
            }
        }
    }
    assert!(tests > 100, "{tests}");
}
