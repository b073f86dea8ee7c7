//! The vault under the usual limit on locked memory, 8 MiB, and without any.

mod support;

use std::os::fd::AsFd;

use life_pki::KeySlot;
use life_vault_protocol::*;
use support::people::*;
use support::*;

const LIMIT: usize = 8 << 20;
const SESSIONS: usize = 68;

/// A full vault: as many sessions as there can be, of the largest keys, all unlocked.
fn full(ca: &Authority, account: &Account) -> (Vault, Vec<SessionId>) {
    let mut vault = Vault::start_limited(LIMIT);
    let sessions = (0..SESSIONS).map(|_| vault.unlock(account, ca)).collect();
    (vault, sessions)
}

#[test]
fn as_many_users_as_there_can_be_and_a_flood_beside_them() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::Rsa3072);
    let (mut vault, sessions) = full(&ca, &alice);
    let file = alice.file(&ca, PASSPHRASE);
    assert_eq!(vault.refusal(&open_request(&file, PASSPHRASE)), VaultError::TooManySessions);
    let memory = vault.memory();
    assert!(memory.peak < memory.arena && memory.locked < LIMIT as u64, "{memory:?}");
    assert_eq!((memory.refused, memory.large_unlocked), (0, 0));

    // One session less, so that its place is not what the flood is refused for.
    assert!(matches!(vault.call(&Request::Lock { session: sessions[0] }), Response::Done));
    let (read, write) = pipe();
    let junk = vec![7; request::MAX_PKCS12];
    let waits: Vec<_> = (0..100)
        .map(|_| {
            vault.send_with(
                &open_from(&junk, SecretSource::Descriptor { timeout_seconds: 600 }),
                &[read.as_fd()],
            )
        })
        .collect();
    let largest = Request::Mac { session: sessions[1], data: vec![1; request::MAX_MAC_DATA] };
    let others: Vec<_> = (0..20).map(|_| vault.send(&largest)).collect();
    let signing: Vec<_> = sessions[1..]
        .iter()
        .map(|session| vault.send(&Request::SignTls { session: *session, input: tls_input() }))
        .collect();
    // Nobody who was there before is harmed.
    let key = certificate(&alice, KeySlot::Authentication).public_key();
    let mut refused = 0;
    for id in signing {
        match vault.wait(id) {
            Response::Signature(signature) => key.verify(&tls_input(), &signature).unwrap(),
            other => {
                assert_eq!(error_of(other), VaultError::OutOfMemory);
                refused += 1;
            }
        }
    }
    for id in others {
        match vault.wait(id) {
            Response::Tag(_) => {}
            other => assert_eq!(error_of(other), VaultError::OutOfMemory),
        }
    }
    drop(write);
    for id in waits {
        let error = error_of(vault.wait(id));
        assert!(
            matches!(error, VaultError::Busy | VaultError::OutOfMemory | VaultError::SecretUnusable),
            "{error}"
        );
        refused += usize::from(error == VaultError::OutOfMemory);
    }
    for session in &sessions[1..] {
        let signature = signature_of(vault.call(&Request::SignTls { session: *session, input: tls_input() }));
        key.verify(&tls_input(), &signature).unwrap();
    }
    let memory = vault.memory();
    assert!(memory.peak < memory.arena && memory.large_peak >= request::MAX_MAC_DATA as u64, "{memory:?}");
    assert!(memory.refused as usize >= refused, "{memory:?}");
    assert_eq!(memory.large, 0, "{memory:?}");
    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    let after = vault.memory();
    assert!(after.used < memory.used / 4, "{after:?}");
}

#[test]
fn one_user_more_than_fits_is_refused_without_harm() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::Rsa3072);
    // As large as a file can be: what is in it is kept, as long as it is unlocked.
    let more: Vec<_> = (0..3).map(|_| Authority::padded(15 * 1024)).collect();
    let file = alice.file_with(&ca, PASSPHRASE, &more);
    let mut vault = Vault::start_limited(LIMIT);
    let mut sessions = Vec::new();
    let refused = loop {
        match vault.call(&open_request(&file, PASSPHRASE)) {
            Response::Opened { session, .. } => sessions.push(session),
            other => break error_of(other),
        }
    };
    assert_eq!(refused, VaultError::OutOfMemory);
    assert!((20..SESSIONS).contains(&sessions.len()), "{}", sessions.len());
    let memory = vault.memory();
    assert!(memory.peak < memory.arena && memory.refused == 1, "{memory:?}");
    for session in &sessions {
        signature_of(vault.call(&Request::SignTls { session: *session, input: tls_input() }));
    }
    // Where some have left there is room again.
    for session in sessions.drain(..10) {
        assert!(matches!(vault.call(&Request::Lock { session }), Response::Done));
    }
    assert!(matches!(vault.call(&open_request(&file, PASSPHRASE)), Response::Opened { .. }));
}

#[test]
fn what_may_not_lock_its_memory_says_so_and_ends() {
    for limit in [0, 4 << 20, 5 << 20] {
        let mut vault = Vault::start_limited(limit);
        let (id, response) = vault.any();
        assert_eq!((id, error_of(response)), (0, VaultError::MemoryNotLocked));
        assert_eq!(vault.ended().code(), Some(78));
    }
}

#[test]
fn threads_and_arena_are_locked_and_in_no_dump() {
    let mut vault = Vault::start_limited(LIMIT);
    let told = usize::try_from(vault.memory().locked).unwrap();
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", vault.child.id()));
    // Only root may look into a process that cannot be debugged.
    let Ok(smaps) = smaps else { return };
    let kib = |line: &str| line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap();
    let (mut locked, mut size) = (0, 0);
    for line in smaps.lines() {
        if line.starts_with("Size:") {
            size = kib(line);
        }
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            let has = |flag| flags.split_whitespace().any(|one| one == flag);
            assert_eq!(has("lo"), has("lo") && has("dd"), "locked memory is in no dump");
            locked += if has("lo") { size } else { 0 };
        }
    }
    assert_eq!(locked * 1024, told);
}
