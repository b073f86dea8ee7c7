//! Root key seals: only one that the account log vouches for opens.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use life_credentials::*;
use life_envelope::{ContentKey, RecipientInfo};
use life_pki::PrivateKey;
use life_pki::account_log::{AccountState, Change, CredentialId, verify};
use life_sys::secret::SecretBytes;
use support::*;

const PASSPHRASE: &str = "a-distinctive-passphrase-7";

struct Scene {
    ca: Authority,
    account: Account,
    opened: SoftwareCertificate,
}

fn scene() -> Scene {
    let ca = Authority::new();
    let account = Account::new(&ca, uid(ALICE), Keys::P256);
    let opened = open(&account.file(&ca, PASSPHRASE));
    Scene { ca, account, opened }
}

fn open(file: &[u8]) -> SoftwareCertificate {
    SoftwareCertificate::open(file, &SecretBytes::new(PASSPHRASE.into()), now()).unwrap()
}

impl Scene {
    fn state(&self) -> AccountState {
        verify(&self.account.log, now()).unwrap()
    }

    fn error(&self, seals: &[Vec<u8>]) -> RootError {
        RootCredential::open(&self.opened, &self.state(), seals).err().unwrap()
    }
}

#[test]
fn a_good_seal_opens_among_others() {
    let scene = scene();
    let other = Account::new(&scene.ca, uid(BOB), Keys::P256);
    let seals = [
        other.seal(|_| {}),
        b"no envelope".to_vec(),
        scene.account.seal(|seal| seal.uid = uid(BOB)),
        scene.account.seal(|_| {}),
    ];
    let root = RootCredential::open(&scene.opened, &scene.state(), &seals).unwrap();
    assert_eq!((root.generation(), root.credential_id()), (1, scene.account.id));
    assert_eq!(root.public_key(), scene.account.root.public_key());

    let key = ContentKey::generate().unwrap();
    let wrapped = RecipientInfo::wrap(&key, root.public_key()).unwrap();
    assert_eq!(root.unwrap(&wrapped).unwrap().expose(), key.expose());
    // Wrapped to another key, something else comes out, and no error.
    let foreign = RecipientInfo::wrap(&key, other.root.public_key()).unwrap();
    assert_ne!(root.unwrap(&foreign).unwrap().expose(), key.expose());
    assert_eq!(root.mac(b"pins"), root.mac(b"pins"));
    assert_ne!(root.mac(b"pins"), root.mac(b"pin"));
}

#[test]
fn foreign_seals_are_refused() {
    let scene = scene();
    let attacker = PrivateKey::generate_p256().unwrap();
    let foreign = [
        // The attacker's own root key, sealed correctly.
        scene.account.seal(|seal| seal.root_key = SecretBytes::new(attacker.to_pkcs8().expose().to_vec())),
        scene.account.seal(|seal| seal.uid = uid(BOB)),
        scene.account.seal(|seal| seal.credential_id = [8; 16]),
        scene.account.seal(|seal| seal.generation = 2),
        scene.account.seal(|seal| seal.generation = 1 << 40),
        scene.account.seal(|seal| seal.root_key = SecretBytes::new(b"no key".to_vec())),
    ];
    for (i, seal) in foreign.iter().enumerate() {
        assert_eq!(scene.error(std::slice::from_ref(seal)), RootError::SealForeign, "{i}");
    }
    assert_eq!(scene.error(&foreign), RootError::SealForeign);
}

#[test]
fn without_a_current_seal_it_is_missing() {
    let mut scene = scene();
    assert_eq!(scene.error(&[]), RootError::SealMissing);
    let other = Account::new(&scene.ca, uid(BOB), Keys::P256);
    assert_eq!(scene.error(&[other.seal(|_| {})]), RootError::SealMissing);
    // After a rotation the old seal is genuine, but of an older generation.
    let next = PrivateKey::generate_p256().unwrap();
    scene.account.append_change(Change::NewRoot { generation: 2, spki_hash: next.public_key().hash() });
    assert_eq!(scene.error(&[scene.account.seal(|_| {})]), RootError::SealMissing);
}

#[test]
fn only_a_live_credential_opens_anything() {
    let mut scene = scene();
    let seal = scene.account.seal(|_| {});
    scene.account.revoke_by_another();
    assert_eq!(scene.error(std::slice::from_ref(&seal)), RootError::NotLive);
    let refuse = |account: &Account| {
        let state = verify(&account.log, now()).unwrap();
        RootCredential::open(&scene.opened, &state, std::slice::from_ref(&seal)).err().unwrap()
    };
    // Another user's log, and a log of the same user with other keys.
    assert_eq!(refuse(&Account::new(&scene.ca, uid(BOB), Keys::P256)), RootError::NotLive);
    let reborn = Account::new(&scene.ca, uid(ALICE), Keys::P256);
    assert_eq!(reborn.id, CredentialId([7; 16]));
    assert_eq!(refuse(&reborn), RootError::NotLive);
}
