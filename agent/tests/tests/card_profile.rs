//! The PIV profile against Nitrokey's applet; OpenSSL and crate `rsa` judge what the keys do, OpenSC what was written.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use life_credentials::card::{
    CardError, CardProfile, ManagementKey, Pin, PinStatus, Piv, Puk, TransportError, Who,
};
use life_e2e::cards::{CardKey, PIN, PUK, Reader, Slot, fresh, personalised};
use life_e2e::dev::openssl;
use life_pki::key::KeyAlgorithm;
use life_pki::{Certificate, KeySlot, PrivateKey, PublicKey};
use life_sys::secret::{Key256, SecretBytes};

const SLOTS: [(KeySlot, &str); 3] =
    [(KeySlot::Authentication, "9A"), (KeySlot::Signature, "9C"), (KeySlot::Encryption, "9D")];

fn algorithm(key: CardKey) -> KeyAlgorithm {
    match key {
        CardKey::P256 => KeyAlgorithm::P256,
        CardKey::Rsa2048 => KeyAlgorithm::Rsa { bits: 2048 },
        CardKey::Rsa3072 => KeyAlgorithm::Rsa { bits: 3072 },
    }
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.into())
}

fn pin(text: &str) -> Pin {
    Pin::new(&secret(text)).ok().unwrap()
}

fn puk(text: &str) -> Puk {
    Puk::new(&secret(text)).ok().unwrap()
}

fn management_key() -> ManagementKey {
    ManagementKey::new(SecretBytes::new([1, 2, 3, 4, 5, 6, 7, 8].repeat(3))).unwrap()
}

fn tries(card: &mut Piv<'_>) -> Option<u8> {
    card.pin_status().unwrap().pin
}

/// The public key in a slot's certificate.
fn public_key(card: &mut Piv<'_>, slot: KeySlot) -> PublicKey {
    let certificate = card.certificate(slot).unwrap().expect("a certificate");
    Certificate::from_der(&certificate).unwrap().public_key().clone()
}

#[test]
fn what_others_put_on_a_card_is_read() {
    for key in CardKey::ALL {
        let Some(folder) = personalised(key) else { return };
        let mut slot = Slot::start(folder.path());
        let mut card = Piv::select(&mut slot).ok().unwrap();
        for (slot, name) in SLOTS {
            let pem = folder.path().join(format!("{name}.pem"));
            let der = openssl(["x509", "-in", pem.to_str().unwrap(), "-outform", "DER"]);
            assert_eq!(card.certificate(slot), Ok(Some(der)), "{key:?} {name}");
        }
        assert_eq!(card.certificate(KeySlot::Root), Err(CardError::NotSupported));
        let id = card.id().unwrap();
        assert_eq!(id.as_bytes().len(), 16);
        drop(slot);
        let mut slot = Slot::start(folder.path());
        assert_eq!(Piv::select(&mut slot).ok().unwrap().id(), Ok(id), "it lasts");
    }
}

#[test]
fn signatures_verify_and_need_the_pin() {
    for key in CardKey::ALL {
        let Some(folder) = personalised(key) else { return };
        let mut slot = Slot::start(folder.path());
        let mut card = Piv::select(&mut slot).ok().unwrap();
        let key = algorithm(key);
        let message = b"What was signed";
        for slot in [KeySlot::Authentication, KeySlot::Signature] {
            let public = public_key(&mut card, slot);
            assert_eq!(card.sign(slot, key, message), Err(CardError::PinNeeded));
            card.verify(&pin(PIN), Who::Agent).unwrap();
            let signature = card.sign(slot, key, message).unwrap();
            // AWS-LC.
            assert_eq!(public.verify(message, &signature), Ok(()));
            assert!(public.verify(b"Something else", &signature).is_err());
            judged_by_openssl(&public, message, &signature);
            // The signature slot wants the PIN each time, authentication once.
            let again = card.sign(slot, key, message);
            match slot {
                KeySlot::Signature => assert_eq!(again, Err(CardError::PinNeeded)),
                _ => assert_eq!(public.verify(message, &again.unwrap()), Ok(())),
            }
        }
        for slot in [KeySlot::Encryption, KeySlot::Root] {
            assert_eq!(card.sign(slot, key, message), Err(CardError::NotSupported), "never signs");
        }
        slot.reset();
        let mut card = Piv::select(&mut slot).ok().unwrap();
        let forgotten = card.sign(KeySlot::Authentication, key, message);
        assert_eq!(forgotten, Err(CardError::PinNeeded), "a reset forgets the PIN");
    }
}

fn judged_by_openssl(public: &PublicKey, message: &[u8], signature: &[u8]) {
    let folder = fresh();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let [key, signed, by] =
        [file("key", public.spki()), file("message", message), file("signature", signature)];
    let mut arguments = vec!["dgst", "-sha256", "-verify", &key, "-keyform", "DER", "-signature", &by];
    if public.algorithm() != KeyAlgorithm::P256 {
        arguments.extend(["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]);
    }
    arguments.push(&signed);
    assert_eq!(openssl(arguments), b"Verified OK\n");
}

#[test]
fn a_key_is_opened_and_a_random_one_comes_out_of_everything_else() {
    for key in [CardKey::Rsa2048, CardKey::Rsa3072] {
        let Some(folder) = personalised(key) else { return };
        let key = algorithm(key);
        let mut slot = Slot::start(folder.path());
        let mut card = Piv::select(&mut slot).ok().unwrap();
        let public = public_key(&mut card, KeySlot::Encryption);
        let random = Key256::take(&mut [9; 32]);
        let sealed = public.oaep_encrypt(&[7; 32]).unwrap();
        assert_eq!(card.decipher(key, &sealed, &random).err(), Some(CardError::PinNeeded));
        card.verify(&pin(PIN), Who::Agent).unwrap();
        let mut open = |sealed: &[u8]| card.decipher(key, sealed, &random).map(|key| *key.expose());
        assert_eq!(open(&sealed), Ok([7; 32]));
        for odd in [&[7; 31][..], &[7; 33], &[]] {
            assert_eq!(open(&public.oaep_encrypt(odd).unwrap()), Ok([9; 32]), "{} bytes", odd.len());
        }
        let other = PrivateKey::generate_rsa(2048).unwrap().public_key().oaep_encrypt(&[7; 32]).unwrap();
        let padded = [vec![0; sealed.len() - other.len()], other].concat();
        assert_eq!(open(&padded), Ok([9; 32]), "another's");
        assert_eq!(open(&sealed[1..]), Err(CardError::NotSupported));
        assert_eq!(open(&openssl_oaep(&public)), Ok([5; 32]), "sealed by OpenSSL");
    }
}

/// 32 fives, encrypted by OpenSSL as FORMATS §2 has it.
fn openssl_oaep(public: &PublicKey) -> Vec<u8> {
    let folder = fresh();
    let [key, plain] = ["key", "plain"].map(|name| folder.path().join(name));
    fs::write(&key, public.spki()).unwrap();
    fs::write(&plain, [5; 32]).unwrap();
    openssl([
        "pkeyutl",
        "-encrypt",
        "-pubin",
        "-keyform",
        "DER",
        "-inkey",
        key.to_str().unwrap(),
        "-in",
        plain.to_str().unwrap(),
        "-pkeyopt",
        "rsa_padding_mode:oaep",
        "-pkeyopt",
        "rsa_oaep_md:sha256",
        "-pkeyopt",
        "rsa_mgf1_md:sha256",
    ])
}

#[test]
fn agreement_is_with_the_card_and_only_on_the_curve() {
    let Some(folder) = personalised(CardKey::P256) else { return };
    let mut slot = Slot::start(folder.path());
    let mut card = Piv::select(&mut slot).ok().unwrap();
    let public = public_key(&mut card, KeySlot::Encryption);
    let (point, expected) = public.agree_ephemeral().unwrap();
    assert_eq!(card.agree(&point).err(), Some(CardError::PinNeeded));
    card.verify(&pin(PIN), Who::Agent).unwrap();
    let agreed = card.agree(&point).ok().unwrap();
    assert!(agreed.ct_eq(expected.expose()));
    let mut off = point.clone();
    off[64] ^= 1;
    for bad in [&off[..], &point[..64], &[]] {
        assert_eq!(card.agree(bad).err(), Some(CardError::NotSupported));
    }
    let random = Key256::take(&mut [9; 32]);
    assert_eq!(card.decipher(KeyAlgorithm::P256, &[0; 32], &random).err(), Some(CardError::NotSupported));
}

#[test]
fn tries_are_read_before_and_the_agent_leaves_two() {
    let folder = fresh();
    let mut slot = Slot::start(folder.path());
    let mut card = Piv::select(&mut slot).ok().unwrap();
    assert_eq!(card.pin_status(), Ok(PinStatus { pin: Some(3), puk: None }));
    assert_eq!(card.verify(&pin("654321"), Who::Agent), Err(CardError::WrongPin { left: 2 }));
    let shown = |slot: &Slot| slot.sent().iter().filter(|apdu| apdu[1] == 0x20 && apdu.len() > 5).count();
    let before = shown(&slot);
    let mut card = Piv::select(&mut slot).ok().unwrap();
    // Even the right PIN is not shown again without a person.
    assert_eq!(card.verify(&pin(PIN), Who::Agent), Err(CardError::PersonNeeded { left: 2 }));
    assert_eq!(tries(&mut card), Some(2));
    assert_eq!(shown(&slot), before);

    let mut card = Piv::select(&mut slot).ok().unwrap();
    assert_eq!(card.verify(&pin("654321"), Who::Person), Err(CardError::WrongPin { left: 1 }));
    assert_eq!(card.change_pin(&pin("654321"), &pin("111111")), Err(CardError::PinBlocked));
    assert_eq!(card.pin_status(), Ok(PinStatus { pin: Some(0), puk: None }));
    assert_eq!(card.verify(&pin(PIN), Who::Person), Err(CardError::PinBlocked));
    assert_eq!(card.change_pin(&pin(PIN), &pin("111111")), Err(CardError::PinBlocked));

    assert!(matches!(
        card.unblock_pin(&puk("87654321"), &pin("111111")),
        Err(CardError::WrongPuk { left: 2 })
    ));
    assert_eq!(card.unblock_pin(&puk(PUK), &pin("24681357")), Ok(()));
    assert_eq!(tries(&mut card), Some(3));
    assert_eq!(card.verify(&pin("24681357"), Who::Agent), Ok(()));
    // A PIN that is verified hides the tries; a new one is judged as if there were none.
    assert_eq!(tries(&mut card), None);
    assert_eq!(card.verify(&pin("654321"), Who::Agent), Err(CardError::WrongPin { left: 2 }));
    assert_eq!(tries(&mut card), Some(2));
    assert_eq!(card.change_pin(&pin("24681357"), &pin(PIN)), Ok(()));
    assert_eq!(card.verify(&pin(PIN), Who::Agent), Ok(()));
}

#[test]
fn a_blocked_puk_is_told_apart() {
    let folder = fresh();
    let mut slot = Slot::start(folder.path());
    let mut card = Piv::select(&mut slot).ok().unwrap();
    for left in [2, 1] {
        assert_eq!(card.unblock_pin(&puk("87654321"), &pin(PIN)), Err(CardError::WrongPuk { left }));
    }
    assert_eq!(card.unblock_pin(&puk("87654321"), &pin(PIN)), Err(CardError::PukBlocked));
    assert_eq!(card.unblock_pin(&puk(PUK), &pin(PIN)), Err(CardError::PukBlocked));
    assert_eq!(tries(&mut card), Some(3));
}

#[test]
fn keys_are_made_on_a_fresh_card_and_opensc_reads_what_was_written() {
    let Some(reader) = Reader::start() else { return };
    let folder = fresh();
    let mut slot = Slot::start(folder.path());
    let mut card = Piv::select(&mut slot).ok().unwrap();
    for (slot, _) in SLOTS {
        assert_eq!(card.certificate(slot), Ok(None));
    }
    let authentication = KeySlot::Authentication;
    assert_eq!(card.generate(authentication, KeyAlgorithm::P256), Err(CardError::ManagementKeyNeeded));
    assert_eq!(card.put_certificate(authentication, &[0x30, 0]), Err(CardError::ManagementKeyNeeded));
    let wrong = ManagementKey::new(SecretBytes::new(vec![7; 24])).unwrap();
    assert_eq!(card.administrate(&wrong), Err(CardError::ManagementKeyWrong));
    card.administrate(&management_key()).unwrap();
    let mut made = Vec::new();
    for (slot, key) in SLOTS.iter().zip(CardKey::ALL) {
        let public = card.generate(slot.0, algorithm(key)).unwrap();
        assert_eq!(public.algorithm(), algorithm(key));
        let certificate = self_made_certificate(&public);
        card.put_certificate(slot.0, &certificate).unwrap();
        assert_eq!(card.certificate(slot.0), Ok(Some(certificate.clone())));
        made.push(certificate);
    }
    card.verify(&pin(PIN), Who::Agent).unwrap();
    let signature = card.sign(authentication, KeyAlgorithm::P256, b"made here").unwrap();
    let public = public_key(&mut card, authentication);
    assert_eq!(public.verify(b"made here", &signature), Ok(()));
    assert_eq!(card.generate(authentication, KeyAlgorithm::Rsa { bits: 4096 }), Err(CardError::NotSupported));
    drop(slot);

    let _card = reader.insert(folder.path());
    for (id, certificate) in ["01", "02", "03"].iter().zip(made) {
        let read = reader.path("read.der");
        let arguments =
            ["--read-object", "--type", "cert", "--id", id, "--output-file", read.to_str().unwrap()];
        let _said = reader.runs("pkcs11-tool", &arguments);
        assert_eq!(fs::read(&read).unwrap(), certificate);
    }
}

/// A certificate over a public key, by a key of the test's.
fn self_made_certificate(public: &PublicKey) -> Vec<u8> {
    let folder = fresh();
    let [key, der] = ["key.pem", "public.der"].map(|name| folder.path().join(name).display().to_string());
    fs::write(&der, public.spki()).unwrap();
    openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key]);
    let root = folder.path().join("root.pem").display().to_string();
    openssl(["req", "-x509", "-key", &key, "-subj", "/CN=Root of a test", "-days", "30", "-out", &root]);
    openssl([
        "x509",
        "-new",
        "-subj",
        "/CN=Made by a test",
        "-days",
        "30",
        "-force_pubkey",
        &der,
        "-keyform",
        "DER",
        "-CA",
        &root,
        "-CAkey",
        &key,
        "-outform",
        "DER",
    ])
}

#[test]
fn a_card_that_dies_in_mid_operation_is_gone() {
    let Some(folder) = personalised(CardKey::P256) else { return };
    let mut slot = Slot::start_faulty(folder.path(), &["--die", "87:1"]);
    let mut card = Piv::select(&mut slot).ok().unwrap();
    card.verify(&pin(PIN), Who::Agent).unwrap();
    let gone = CardError::Transport(TransportError::CardGone);
    assert_eq!(card.sign(KeySlot::Authentication, KeyAlgorithm::P256, b"never"), Err(gone));
    assert_eq!(card.pin_status(), Err(gone));
}
