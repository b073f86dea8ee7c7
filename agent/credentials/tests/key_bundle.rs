//! Key bundles: opened by one secret, for one credential of one user, and never after a change.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use life_credentials::key_bundle::{BundleError, MAX_BUNDLE, unwrap, wrap};
use life_credentials::{SuperPin, WORKING_SLOTS};
use life_pki::account_log::CredentialId;
use life_pki::{PrivateKey, Uid};
use life_sys::secret::Key256;
use proptest::prelude::*;

struct Scene {
    keys: [PrivateKey; 3],
    uid: Uid,
    id: CredentialId,
    secret: Key256,
    bundle: Vec<u8>,
}

fn scene(keys: [PrivateKey; 3]) -> Scene {
    let (uid, id) = (Uid::from_random([1; 16]), CredentialId([2; 16]));
    let secret = Key256::take(&mut [7; 32]);
    let bundle = wrap([&keys[0], &keys[1], &keys[2]], uid, id, &secret).unwrap();
    Scene { keys, uid, id, secret, bundle }
}

fn p256() -> Scene {
    scene(WORKING_SLOTS.map(|_| PrivateKey::generate_p256().unwrap()))
}

impl Scene {
    fn open(&self, bundle: &[u8]) -> Result<[PrivateKey; 3], BundleError> {
        unwrap(bundle, self.uid, self.id, &self.secret)
    }
}

#[test]
fn keys_come_back_in_their_order() {
    let rsa = || PrivateKey::generate_rsa(4096).unwrap();
    let large = scene([rsa(), PrivateKey::generate_p256().unwrap(), rsa()]);
    for scene in [p256(), large] {
        let opened = scene.open(&scene.bundle).unwrap();
        for (opened, key) in opened.iter().zip(&scene.keys) {
            assert_eq!(opened.public_key(), key.public_key());
        }
        assert!(scene.bundle.len() < MAX_BUNDLE);
    }
}

#[test]
fn each_wrapping_differs_and_hides_the_keys() {
    let scene = p256();
    let [a, b, c] = &scene.keys;
    let again = wrap([a, b, c], scene.uid, scene.id, &scene.secret).unwrap();
    assert_ne!(again, scene.bundle);
    for key in &scene.keys {
        // EXPOSE: to look for it.
        let pkcs8 = key.to_pkcs8().expose();
        assert!(!scene.bundle.windows(16).any(|part| pkcs8.windows(16).any(|secret| secret == part)));
    }
}

#[test]
fn another_secret_user_or_credential_opens_nothing() {
    let scene = p256();
    let refused = |uid, id, secret: &Key256| unwrap(&scene.bundle, uid, id, secret).err();
    let pin = SuperPin::generate().unwrap().wrapping_key().unwrap();
    assert_eq!(refused(scene.uid, scene.id, &pin), Some(BundleError::Foreign));
    assert_eq!(refused(Uid::from_random([9; 16]), scene.id, &scene.secret), Some(BundleError::Foreign));
    assert_eq!(refused(scene.uid, CredentialId([9; 16]), &scene.secret), Some(BundleError::Foreign));
}

#[test]
fn another_version_is_refused_as_such() {
    let scene = p256();
    let at = scene.bundle.windows(3).position(|bytes| bytes == [2, 1, 1]).unwrap() + 2;
    for version in [0, 2, 127] {
        let mut bundle = scene.bundle.clone();
        bundle[at] = version;
        assert_eq!(scene.open(&bundle).err(), Some(BundleError::UnknownVersion));
    }
}

#[test]
fn whatever_is_too_large_is_not_looked_at() {
    let scene = p256();
    assert_eq!(scene.open(&vec![0x30; MAX_BUNDLE + 1]).err(), Some(BundleError::Damaged));
    assert_eq!(scene.open(&[]).err(), Some(BundleError::Damaged));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_changed_bundle_opens(at in any::<prop::sample::Index>(), bits in 1u8..) {
        let scene = p256();
        let mut bundle = scene.bundle.clone();
        let at = at.index(bundle.len());
        bundle[at] ^= bits;
        prop_assert!(scene.open(&bundle).is_err());
        prop_assert!(scene.open(&scene.bundle[..at]).is_err());
    }
}

#[test]
fn a_bundle_that_another_program_made_opens() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/testkit/corpus/key_bundle/wrapped");
    let (uid, id) = (Uid::from_random([1; 16]), CredentialId([2; 16]));
    let keys = unwrap(&std::fs::read(file).unwrap(), uid, id, &Key256::take(&mut [7; 32])).unwrap();
    let signature = keys[1].sign(b"message").unwrap();
    assert_eq!(keys[1].public_key().verify(b"message", &signature), Ok(()));
}
