//! A lock takes all that it concerns, what is being opened included, and nothing else; and it is answered when nothing is
//! left.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::io::Write;
use std::os::fd::AsFd;

use life_pki::Uid;
use life_vault_protocol::*;
use support::people::*;
use support::*;

struct Scene {
    alice: Account,
    bob: Account,
    ca: Authority,
    vault: Vault,
}

fn scene() -> Scene {
    let ca = Authority::new();
    let [alice, bob] = [ALICE, BOB].map(|name| Account::new(&ca, uid(name), Keys::P256));
    Scene { alice, bob, ca, vault: Vault::start() }
}

fn opening(account: &Account, ca: &Authority, secret: SecretSource, expected: Option<Uid>) -> Request {
    let pkcs12 = account.file(ca, PASSPHRASE);
    Request::OpenSoftwareCertificate { pkcs12, secret, now: now().unix(), expected }
}

fn inline() -> SecretSource {
    SecretSource::Inline(secret(PASSPHRASE))
}

fn is_done(response: &Response) -> bool {
    matches!(response, Response::Done)
}

#[test]
fn a_users_lock_takes_all_that_is_theirs_and_nothing_of_others() {
    let Scene { alice, bob, ca, mut vault } = scene();
    let _ = (vault.unlock(&alice, &ca), vault.open(&alice, &ca));
    let other = vault.unlock(&bob, &ca);
    let (typed, mut keyboard) = pipe();
    let from_descriptor = SecretSource::Descriptor { timeout_seconds: 600 };
    let waiting = vault.send_with(&opening(&alice, &ca, from_descriptor, Some(alice.uid)), &[typed.as_fd()]);
    let (also_typed, mut another_keyboard) = pipe();
    let from_descriptor = SecretSource::Descriptor { timeout_seconds: 600 };
    let others = vault.send_with(&opening(&bob, &ca, from_descriptor, Some(bob.uid)), &[also_typed.as_fd()]);
    // Whose it will turn out to be nobody knows yet.
    let (typed_too, mut third_keyboard) = pipe();
    let from_descriptor = SecretSource::Descriptor { timeout_seconds: 600 };
    let unknown = vault.send_with(&opening(&alice, &ca, from_descriptor, None), &[typed_too.as_fd()]);

    assert!(is_done(&vault.call(&Request::LockUser { uid: alice.uid })));
    assert_eq!(error_of(vault.wait(waiting)), VaultError::SecretWithdrawn);
    assert_eq!(vault.status(), (1, 0));
    drop(typed);
    assert!(keyboard.write_all(b"x").is_err(), "the vault has let go of it");

    third_keyboard.write_all(PASSPHRASE.as_bytes()).unwrap();
    drop(third_keyboard);
    assert_eq!(error_of(vault.wait(unknown)), VaultError::SecretWithdrawn);
    assert_eq!(vault.status(), (1, 0));
    another_keyboard.write_all(PASSPHRASE.as_bytes()).unwrap();
    drop(another_keyboard);
    assert!(matches!(vault.wait(others), Response::Opened { .. }));
    let signed = signature_of(vault.call(&Request::SignTls { session: other, input: tls_input() }));
    certificate(&bob, life_pki::KeySlot::Authentication).public_key().verify(&tls_input(), &signed).unwrap();
    // What is asked for afterwards is not concerned, and locking who is not there is no error.
    vault.open(&alice, &ca);
    assert!(is_done(&vault.call(&Request::LockUser { uid: alice.uid })));
    assert!(is_done(&vault.call(&Request::LockUser { uid: alice.uid })));
    assert_eq!(vault.status(), (2, 0));
}

/// The memory in use when nothing is under way. Threads come to rest just after they have answered.
fn at_rest(vault: &mut Vault) -> u64 {
    (0..50).map(|_| vault.memory().used).min().unwrap()
}

#[test]
fn a_lock_is_answered_when_derivations_and_what_waits_for_them_are_gone() {
    let Scene { alice, ca, mut vault, .. } = scene();
    // Whatever is set up once is there, for each of the slow workers, and tables have grown.
    let openings: Vec<_> = (0..12).map(|_| vault.send(&opening(&alice, &ca, inline(), None))).collect();
    for id in openings {
        assert!(matches!(vault.wait(id), Response::Opened { .. }));
    }
    assert!(is_done(&vault.call(&Request::LockAll)));
    let before = at_rest(&mut vault);
    for round in 0..8 {
        // Some are being derived by now, the others wait.
        let of_one = round % 2 == 1;
        let expected = of_one.then_some(alice.uid);
        let openings: Vec<_> =
            (0..6).map(|_| vault.send(&opening(&alice, &ca, inline(), expected))).collect();
        let uid = alice.uid;
        let locking = vault.send(&if of_one { Request::LockUser { uid } } else { Request::LockAll });
        let mut answered = Vec::new();
        loop {
            match vault.any() {
                (id, response) if id == locking => {
                    assert!(is_done(&response));
                    break;
                }
                (id, response) => {
                    // It may have been quick enough; the lock has then closed it.
                    assert!(matches!(
                        response,
                        Response::Opened { .. } | Response::Error(VaultError::SecretWithdrawn)
                    ));
                    answered.push(id);
                }
            }
        }
        let memory = vault.memory().used;
        assert_eq!(vault.status(), (0, 0));
        // A user's lock does not wait as long as that may take.
        assert!(of_one || memory <= before + 4096, "{memory} bytes in use after the lock, {before} before");
        for id in openings.into_iter().filter(|id| !answered.contains(id)) {
            assert_eq!(error_of(vault.wait(id)), VaultError::SecretWithdrawn);
        }
    }
}

#[test]
fn a_new_accounts_keys_are_made_no_further_when_everybody_is_locked() {
    let Scene { alice, bob, mut vault, .. } = scene();
    let request = generate_request(alice.uid, WorkingKeyAlgorithm::Rsa3072);
    let made = vault.send(&request);
    // A user's lock is about credentials that exist.
    assert!(is_done(&vault.call(&Request::LockUser { uid: bob.uid })));
    assert!(is_done(&vault.call(&Request::LockUser { uid: alice.uid })));
    assert!(matches!(vault.wait(made), Response::Account { .. }));
    assert_eq!(vault.status(), (0, 1));

    let locked = vault.send(&generate_request(bob.uid, WorkingKeyAlgorithm::Rsa3072));
    assert!(is_done(&vault.call(&Request::LockAll)));
    assert_eq!(error_of(vault.wait(locked)), VaultError::SecretWithdrawn);
    // The one whose keys were there stays: they exist nowhere else.
    assert_eq!(vault.status(), (0, 1));
    let cancelled = vault.send(&generate_request(bob.uid, WorkingKeyAlgorithm::Rsa3072));
    assert!(is_done(&vault.call(&Request::CancelSecret { request: cancelled })));
    assert_eq!(error_of(vault.wait(cancelled)), VaultError::SecretWithdrawn);
    assert_eq!(vault.status(), (0, 1));
}
