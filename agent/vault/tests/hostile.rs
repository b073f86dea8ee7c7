//! A broker that breaks the protocol: whatever it sends, the vault answers, refuses or ends; it never hangs.

mod support;

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use life_sys::descriptors::{recv_with_fds, send_with_fds};
use life_vault_protocol::*;
use support::people::*;
use support::*;

const PROTOCOL: Option<i32> = Some(76);

#[test]
fn the_end_of_the_socket_is_the_end_of_the_process() {
    let mut vault = Vault::start();
    assert_eq!(vault.status(), (0, 0));
    let pid = vault.child.id();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert!(core.split_whitespace().filter(|word| *word == "0").count() == 2, "{core}");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"));
    assert!(vault.close().success());
}

/// Plays a broker that is killed while somebody else still holds its end of the socket: run by the next test.
#[test]
#[ignore = "the parent of a vault, for another test"]
fn broker_to_be_killed() {
    let to_test = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let vault = Vault::start();
    send_with_fds(&to_test, b"x", &[vault.socket.as_fd()]).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn the_broker_dies_and_the_vault_with_it() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut broker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "broker_to_be_killed"])
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut fds = Vec::new();
    recv_with_fds(&ours, &mut [0; 1], &mut fds).unwrap();
    let mut vault = UnixStream::from(fds.pop().unwrap());
    vault.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // It lives; its socket stays open here; and the kernel ends it all the same.
    vault.write_all(encode_request(1, &Request::Status).unwrap().expose()).unwrap();
    assert!(read_some(&mut vault, &mut [0; 256]).unwrap() > 0);
    broker.kill().unwrap();
    broker.wait().unwrap();
    assert_eq!(read_some(&mut vault, &mut [0; 64]).unwrap(), 0);
}

#[test]
fn a_vault_of_somebody_elses_socket_does_not_start() {
    // The pair was made by this process, but the shell is the parent.
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let status = Command::new("sh")
        .args(["-c", "\"$0\"; exit $?", env!("CARGO_BIN_EXE_life-vault")])
        .stdin(OwnedFd::from(theirs))
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(64));
}

#[test]
fn started_by_hand_it_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_life-vault")).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("started by life-agentd"));
}

#[test]
fn broken_framing_ends_the_vault() {
    for bytes in [
        &[0xff, 0xff, 0xff, 0xff][..],
        &[0x00, 0x40, 0x00, 0x01],
        &[0, 0, 0, 0],
        &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1],
    ] {
        let mut vault = Vault::start();
        vault.socket.write_all(bytes).unwrap();
        assert_eq!(vault.ended().code(), PROTOCOL, "{bytes:?}");
    }
    let mut vault = Vault::start();
    vault.socket.write_all(&[0, 0, 0, 9, 1]).unwrap();
    assert_eq!(vault.close().code(), PROTOCOL);
}

#[test]
fn too_many_descriptors_end_the_vault() {
    let vault = Vault::start();
    let socket = vault.socket.as_fd();
    send_with_fds(socket, &[0], &[socket; 4]).unwrap();
    assert_eq!(vault.ended().code(), PROTOCOL);
}

#[test]
fn garbage_in_frames_is_refused_and_forgotten() {
    let mut vault = Vault::start();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..2000 {
        let len = usize::try_from(random() % 200).unwrap() + 1;
        let mut body: Vec<u8> = (0..len).map(|_| random().to_le_bytes()[3]).collect();
        // Mostly numbers that stand for a request.
        body[0] = if round % 8 == 0 { body[0] } else { body[0] % 16 };
        let id = vault.send_body(&body);
        let answer = vault.wait(id);
        if let Ok(request) = Request::decode(&body) {
            drop((request, answer));
        } else {
            assert_eq!(error_of(answer), VaultError::Malformed);
        }
    }
    assert_eq!(vault.status().0, 0);
}

#[test]
fn frames_may_come_byte_by_byte_and_all_at_once() {
    let mut vault = Vault::start();
    let frame = encode_request(7, &Request::Status).unwrap();
    for byte in frame.expose() {
        vault.socket.write_all(&[*byte]).unwrap();
    }
    assert!(matches!(vault.wait(7), Response::Status { .. }));
    let many: Vec<u8> =
        (100..1100).flat_map(|id| encode_request(id, &Request::Status).unwrap().expose().to_vec()).collect();
    vault.socket.write_all(&many).unwrap();
    for id in 100..1100 {
        assert!(matches!(vault.wait(id), Response::Status { .. }));
    }
}

#[test]
fn the_largest_frame_is_taken() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let mut vault = Vault::start();
    let session = vault.unlock(&alice, &ca);
    let data = vec![7; request::MAX_MAC_DATA];
    assert!(matches!(vault.call(&Request::Mac { session, data: data.clone() }), Response::Tag(_)));
    let too_long = Request::Mac { session, data: [data.as_slice(), &[0]].concat() };
    assert_eq!(vault.refusal(&too_long), VaultError::Malformed);
}

#[test]
fn answers_find_their_requests_in_any_order() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let bob = Account::new(&ca, uid(BOB), Keys::P256);
    let mut vault = Vault::start();
    let sessions = [vault.unlock(&alice, &ca), vault.unlock(&bob, &ca)];
    // Slow work first; it must not hold up what follows.
    let slow = vault.send(&generate_request(uid(ALICE), WorkingKeyAlgorithm::Rsa3072));
    let mut expected = HashMap::new();
    for i in 0..200 {
        let session = sessions[i % 2];
        expected.insert(vault.send(&Request::SignTls { session, input: tls_input() }), i % 2);
    }
    let mut before_slow = 0;
    while !expected.is_empty() {
        let (id, answer) = vault.any();
        if id == slow {
            continue;
        }
        let owner = [&alice, &bob][expected.remove(&id).unwrap()];
        let key = certificate(owner, life_pki::KeySlot::Authentication).public_key().clone();
        key.verify(&tls_input(), &signature_of(answer)).unwrap();
        before_slow += 1;
    }
    assert_eq!(before_slow, 200);
}

#[test]
fn sessions_are_limited() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let file = alice.file(&ca, PASSPHRASE);
    let mut vault = Vault::start();
    for _ in 0..68 {
        assert!(matches!(vault.call(&open_request(&file, PASSPHRASE)), Response::Opened { .. }));
    }
    assert_eq!(vault.refusal(&open_request(&file, PASSPHRASE)), VaultError::TooManySessions);
    assert_eq!(vault.status(), (68, 0));
    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    assert!(matches!(vault.call(&open_request(&file, PASSPHRASE)), Response::Opened { .. }));
}

#[test]
fn slow_work_is_limited() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let file = alice.file(&ca, PASSPHRASE);
    let mut vault = Vault::start();
    let ids: Vec<_> = (0..120).map(|_| vault.send(&open_request(&file, "wrong"))).collect();
    let errors: Vec<_> = ids.into_iter().map(|id| error_of(vault.wait(id))).collect();
    let others: Vec<_> =
        errors.iter().filter(|it| !matches!(it, VaultError::Busy | VaultError::WrongPassphrase)).collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(errors.contains(&VaultError::WrongPassphrase) && errors.contains(&VaultError::Busy));
}

#[test]
fn the_log_tells_what_was_done_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let mut vault = Vault::start_logging("debug", fs::File::create(&path).unwrap().into());
    let session = vault.unlock(&alice, &ca);
    vault.call(&Request::SignTls { session, input: tls_input() });
    vault.call(&open_request(&alice.file(&ca, PASSPHRASE), "a-wrong-but-private-passphrase"));
    vault.call(&Request::Lock { session });
    assert!(vault.close().success());
    let log = fs::read_to_string(&path).unwrap();
    for word in ["OpenSoftwareCertificate", "OpenRoot", "SignTls", "Lock", "refused", "micros"] {
        assert!(log.contains(word), "{word} in {log}");
    }
    for word in [PASSPHRASE, "a-wrong-but-private-passphrase", ALICE] {
        assert!(!log.contains(word), "{word} in {log}");
    }
}
