//! Descriptors belong to the frame they were sent with, and none of them holds anybody up.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use life_sys::descriptors::send_with_fds;
use life_vault_protocol::*;
use support::people::*;
use support::*;

/// Something that is no file, but so large that the kernel gives its frame out in pieces.
fn padding() -> Vec<u8> {
    vec![0x30; 60 * 1024]
}

fn from_descriptor(file: &[u8]) -> Request {
    open_from(file, SecretSource::Descriptor { timeout_seconds: 60 })
}

fn from_prompt(file: &[u8]) -> Request {
    let prompt = Prompt { description: "x".repeat(2000), label: "Passphrase:".into(), timeout_seconds: 60 };
    open_from(file, SecretSource::Prompt(prompt))
}

/// Holds the vault's reader up until all that is sent meanwhile lies in the socket.
fn together(vault: &mut Vault, send: impl FnOnce(&mut Vault)) {
    let pid = rustix::process::Pid::from_child(&vault.child);
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    send(vault);
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
}

#[test]
fn two_large_prompts_at_once_are_two_prompts() {
    let mut vault = Vault::start();
    let (input, output) = pipe();
    let fds: [BorrowedFd<'_>; 2] = [output.as_fd(), input.as_fd()];
    let mut ids = Vec::new();
    together(&mut vault, |vault| {
        for _ in 0..2 {
            ids.push(vault.send_with(&from_prompt(&padding()), &fds));
        }
    });
    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    for id in ids {
        assert_eq!(error_of(vault.wait(id)), VaultError::SecretWithdrawn);
    }
}

#[test]
fn a_passphrase_goes_to_the_frame_it_came_with() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let file = alice.file(&ca, PASSPHRASE);
    let mut vault = Vault::start();
    let ((first, _kept), (second, mut write)) = (pipe(), pipe());
    let mut ids = Vec::new();
    together(&mut vault, |vault| {
        ids.push(vault.send_with(&from_descriptor(&padding()), &[first.as_fd()]));
        ids.push(vault.send(&Request::Status));
        ids.push(vault.send_with(&from_descriptor(&file), &[second.as_fd()]));
        ids.push(vault.send(&Request::Status));
    });
    drop(second);
    write.write_all(PASSPHRASE.as_bytes()).unwrap();
    drop(write);
    assert!(matches!(vault.wait(ids[2]), Response::Opened { .. }));
    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    assert_eq!(error_of(vault.wait(ids[0])), VaultError::SecretWithdrawn);
}

#[test]
fn descriptors_of_an_undecodable_frame_are_closed() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let file = alice.file(&ca, PASSPHRASE);
    let mut vault = Vault::start();
    let ((first, mut unused), (second, mut write)) = (pipe(), pipe());
    let mut ids = Vec::new();
    together(&mut vault, |vault| {
        let mut frame = encode_request(1000, &from_descriptor(&padding())).unwrap().expose().to_vec();
        frame[12] = 0xff;
        assert_eq!(send_with_fds(&vault.socket, &frame, &[first.as_fd()]).unwrap(), frame.len());
        ids.push(vault.send_with(&from_descriptor(&file), &[second.as_fd()]));
    });
    drop((first, second));
    assert_eq!(error_of(vault.wait(1000)), VaultError::Malformed);
    // The next frame has its own, and nobody has the first.
    write.write_all(PASSPHRASE.as_bytes()).unwrap();
    drop(write);
    assert!(matches!(vault.wait(ids[0]), Response::Opened { .. }));
    assert_eq!(unused.write(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn descriptors_in_the_middle_of_a_frame_end_the_vault() {
    let mut vault = Vault::start();
    let frame = encode_request(1, &from_descriptor(b"x")).unwrap();
    let (head, tail) = frame.expose().split_at(20);
    vault.socket.write_all(head).unwrap();
    // The vault has to have read the head, or the two come as one.
    std::thread::sleep(Duration::from_millis(300));
    let (read, _write) = pipe();
    send_with_fds(&vault.socket, tail, &[read.as_fd()]).unwrap();
    assert_eq!(vault.ended().code(), Some(76));
}

#[test]
fn a_descriptor_that_would_block_holds_nobody_up() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let file = alice.file(&ca, PASSPHRASE);
    let mut vault = Vault::start();
    // Two wait at one pipe: both are told that there is a byte, and only one gets it.
    let (shared, mut write) = pipe();
    let blocked = [(); 2].map(|()| vault.send_with(&from_descriptor(b"x"), &[shared.as_fd()]));
    assert!(matches!(vault.call(&Request::Status), Response::Status { .. }));
    std::thread::sleep(Duration::from_millis(200));
    write.write_all(b"x").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let (good, mut passphrase) = pipe();
    let id = vault.send_with(&from_descriptor(&file), &[good.as_fd()]);
    drop(good);
    passphrase.write_all(PASSPHRASE.as_bytes()).unwrap();
    drop(passphrase);
    assert!(matches!(vault.wait(id), Response::Opened { .. }));
    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    for id in blocked {
        assert_eq!(error_of(vault.wait(id)), VaultError::SecretWithdrawn);
    }
}

#[test]
fn only_pipes_and_sockets_are_read() {
    let mut vault = Vault::start();
    let file = tempfile::tempfile().unwrap();
    let endless = std::fs::File::open("/dev/zero").unwrap();
    for fd in [file.as_fd(), endless.as_fd()] {
        for (request, fds) in [(from_descriptor(b"x"), vec![fd]), (from_prompt(b"x"), vec![fd, fd])] {
            let id = vault.send_with(&request, &fds);
            assert_eq!(error_of(vault.wait(id)), VaultError::SecretUnusable);
        }
    }
    let (reader, mut writer) = UnixStream::pair().unwrap();
    let id = vault.send_with(&from_descriptor(b"x"), &[reader.as_fd()]);
    drop(reader);
    writer.write_all(b"through a socket").unwrap();
    drop(writer);
    assert_eq!(error_of(vault.wait(id)), VaultError::Damaged);
}
