//! A whole registration with the real vault, and what must not come out of it.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::fs;
use std::process::Command;

use life_envelope::{challenge, root_seal::RootKeySeal};
use life_pki::account_log::verify;
use life_pki::{CredentialKind, KeySlot, PrivateKey, PublicKey, csr};
use life_vault_protocol::*;
use support::people::*;
use support::*;

fn answer(vault: &mut Vault, pending: PendingId, slot: KeySlot, envelope: Vec<u8>) -> Response {
    vault.call(&Request::AnswerChallenge { pending, slot, envelope })
}

fn openssl(args: &[&str], dir: &std::path::Path) -> String {
    let output = Command::new("openssl").args(args).current_dir(dir).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "openssl {args:?}: {text}");
    text
}

#[test]
fn registration_export_and_unlock() {
    for algorithm in [WorkingKeyAlgorithm::P256, WorkingKeyAlgorithm::Rsa3072] {
        let mut vault = Vault::start();
        let made = vault.generate(uid(ALICE), algorithm);

        // OpenSSL checks the signatures of the requests.
        let dir = tempfile::tempdir().unwrap();
        for (name, request) in [("a.csr", &made.authentication_csr), ("s.csr", &made.signature_csr)] {
            fs::write(dir.path().join(name), request).unwrap();
            let text = openssl(&["req", "-inform", "DER", "-in", name, "-verify", "-noout"], dir.path());
            assert!(text.contains("verify OK"), "{text}");
        }
        let authentication = csr::verify(&made.authentication_csr).unwrap();
        let signature = csr::verify(&made.signature_csr).unwrap();
        assert_eq!((authentication.uid, authentication.slot), (uid(ALICE), KeySlot::Authentication));
        assert_eq!((signature.uid, signature.slot), (uid(ALICE), KeySlot::Signature));
        let encryption = PublicKey::from_spki(&made.encryption_spki).unwrap();
        let root = PublicKey::from_spki(&made.root_spki).unwrap();

        // Both keys that never sign prove possession.
        for (slot, key) in [(KeySlot::Encryption, &encryption), (KeySlot::Root, &root)] {
            let sealed = challenge::seal(&[slot.number(); 32], uid(ALICE), slot, key).unwrap();
            let Response::Nonce(nonce) = answer(&mut vault, made.pending, slot, sealed) else {
                panic!("no nonce")
            };
            assert_eq!(nonce, [slot.number(); 32]);
        }

        // The commit verifies, and repeating it with another time gives the same bytes.
        let commit = |time| Request::CommitAccount { pending: made.pending, time };
        let Response::Committed { log, seal } = vault.call(&commit(now().unix())) else {
            panic!("no commit")
        };
        let Response::Committed { log: again, seal: seal_again } = vault.call(&commit(now().unix() + 60))
        else {
            panic!("no second commit")
        };
        assert_eq!((&again, &seal_again), (&log, &seal));
        let account = verify(&log, now()).unwrap();
        assert_eq!(account.uid(), uid(ALICE));
        assert_eq!(account.current_root().spki_hash, root.hash());
        let credential = &account.credentials()[0];
        assert_eq!(credential.keys.kind, CredentialKind::SoftwareCertificate);
        assert_eq!(credential.keys.id.0, made.credential_id);
        assert_eq!(credential.keys.signature, signature.public_key.hash());

        // Certificates come, the file goes out, and it opens what was committed.
        let ca = Authority::new();
        let certificates = vec![
            ca.issue(uid(ALICE), KeySlot::Encryption, &encryption).der().to_vec(),
            ca.issue(uid(ALICE), KeySlot::Signature, &signature.public_key).der().to_vec(),
            ca.issue(uid(ALICE), KeySlot::Authentication, &authentication.public_key).der().to_vec(),
        ];
        let export = |certificates| Request::ExportSoftwareCertificate {
            pending: made.pending,
            certificates,
            issuers: vec![ca.der()],
        };
        let swapped = ca.issue(uid(ALICE), KeySlot::Encryption, &signature.public_key).der().to_vec();
        let others = ca.issue(uid(BOB), KeySlot::Encryption, &encryption).der().to_vec();
        for wrong in [
            vec![],
            certificates[..2].to_vec(),
            [&certificates[..], &certificates[..1]].concat(),
            [&[swapped], &certificates[1..]].concat(),
            [&[others], &certificates[1..]].concat(),
            [&[b"no certificate".to_vec()], &certificates[1..]].concat(),
        ] {
            assert_eq!(vault.refusal(&export(wrong)), VaultError::CertificateRefused);
        }
        let Response::Pkcs12(file) = vault.call(&export(certificates)) else { panic!("no file") };
        assert_eq!(vault.status(), (0, 0));
        assert_eq!(
            vault.refusal(&Request::DiscardAccount { pending: made.pending }),
            VaultError::UnknownPending
        );

        fs::write(dir.path().join("file.p12"), &file).unwrap();
        let pass = format!("pass:{PASSPHRASE}");
        let text = openssl(&["pkcs12", "-info", "-in", "file.p12", "-nodes", "-passin", &pass], dir.path());
        assert_eq!(text.matches("BEGIN PRIVATE KEY").count(), 3);

        let Response::Opened { session, .. } = vault.call(&open_request(&file, PASSPHRASE)) else {
            panic!("not opened")
        };
        let open_root =
            Request::OpenRoot { session, log: log.into(), seals: vec![seal].into(), now: now().unix() };
        let Response::Root { generation, root_spki, credential_id, genesis, head } = vault.call(&open_root)
        else {
            panic!("no root")
        };
        assert_eq!((generation, root_spki, credential_id), (1, made.root_spki, made.credential_id));
        assert_eq!((genesis, head), (account.genesis().0, account.head().0));
        assert!(vault.close().success());
    }
}

#[test]
fn of_two_exports_at_once_one_gets_the_file() {
    let mut vault = Vault::start();
    let made = vault.generate(uid(ALICE), WorkingKeyAlgorithm::P256);
    vault.call(&Request::CommitAccount { pending: made.pending, time: now().unix() });
    let ca = Authority::new();
    let key = |request: &[u8]| csr::verify(request).unwrap().public_key;
    let certificates: Vec<_> = [
        (KeySlot::Authentication, key(&made.authentication_csr)),
        (KeySlot::Signature, key(&made.signature_csr)),
        (KeySlot::Encryption, PublicKey::from_spki(&made.encryption_spki).unwrap()),
    ]
    .iter()
    .map(|(slot, key)| ca.issue(uid(ALICE), *slot, key).der().to_vec())
    .collect();
    let ids = [(); 2].map(|()| {
        vault.send(&Request::ExportSoftwareCertificate {
            pending: made.pending,
            certificates: certificates.clone(),
            issuers: vec![],
        })
    });
    let answers = ids.map(|id| vault.wait(id));
    let files = answers.iter().filter(|answer| matches!(answer, Response::Pkcs12(_))).count();
    let refused =
        answers.iter().filter(|answer| matches!(answer, Response::Error(VaultError::UnknownPending)));
    assert_eq!((files, refused.count()), (1, 1));
}

#[test]
fn challenges_for_anything_else_are_refused() {
    let mut vault = Vault::start();
    let made = vault.generate(uid(ALICE), WorkingKeyAlgorithm::P256);
    let encryption = PublicKey::from_spki(&made.encryption_spki).unwrap();
    let root = PublicKey::from_spki(&made.root_spki).unwrap();
    let stranger = PrivateKey::generate_p256().unwrap();
    let sealed = |user: &str, slot, key: &PublicKey| challenge::seal(&[1; 32], uid(user), slot, key).unwrap();
    let history = life_sys::secret::Key256::take(&mut [1; 32]);
    let root_key = life_sys::secret::SecretBytes::new(stranger.to_pkcs8().expose().to_vec());
    let seal = RootKeySeal {
        uid: uid(ALICE),
        credential_id: [1; 16],
        generation: 1,
        root_key,
        history_key: history,
    };
    let document = life_envelope::envelope::seal(b"a document", std::slice::from_ref(&root)).unwrap().0;
    let cases = [
        // Another user, another slot inside, another slot asked for, another key.
        (KeySlot::Encryption, sealed(BOB, KeySlot::Encryption, &encryption)),
        (KeySlot::Encryption, sealed(ALICE, KeySlot::Root, &encryption)),
        (KeySlot::Root, sealed(ALICE, KeySlot::Encryption, &encryption)),
        (KeySlot::Encryption, sealed(ALICE, KeySlot::Encryption, stranger.public_key())),
        // Slots that prove possession by signing.
        (KeySlot::Signature, sealed(ALICE, KeySlot::Signature, &encryption)),
        (KeySlot::Authentication, sealed(ALICE, KeySlot::Authentication, &encryption)),
        // What the keys could open but must not: a seal, a document; and garbage.
        (KeySlot::Encryption, seal.seal(&encryption).unwrap()),
        (KeySlot::Root, document),
        (KeySlot::Root, b"garbage".to_vec()),
    ];
    for (i, (slot, envelope)) in cases.into_iter().enumerate() {
        let response = answer(&mut vault, made.pending, slot, envelope);
        assert_eq!(error_of(response), VaultError::ChallengeRefused, "case {i}");
    }
}

#[test]
fn pendings_are_limited_and_discarded() {
    let mut vault = Vault::start();
    let ids: Vec<_> =
        (0..20).map(|_| vault.send(&generate_request(uid(ALICE), WorkingKeyAlgorithm::P256))).collect();
    let answers: Vec<_> = ids.into_iter().map(|id| vault.wait(id)).collect();
    let pendings: Vec<_> = answers
        .iter()
        .filter_map(|answer| match answer {
            Response::Account { pending, .. } => Some(*pending),
            Response::Error(error) => {
                assert_eq!(*error, VaultError::TooManyPendings);
                None
            }
            _ => panic!("another answer"),
        })
        .collect();
    assert_eq!(pendings.len(), 16);
    assert_eq!(vault.status(), (0, 16));
    // Locking is about credentials that are open.
    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    for pending in pendings {
        assert!(matches!(vault.call(&Request::DiscardAccount { pending }), Response::Done));
        assert_eq!(vault.refusal(&Request::CommitAccount { pending, time: 1 }), VaultError::UnknownPending);
    }
    assert_eq!(vault.status(), (0, 0));
}
