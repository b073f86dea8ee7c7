//! Passphrases from descriptors and prompts: they come, they don't, and nothing waits for them.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use life_pki::KeySlot;
use life_vault_protocol::*;
use support::people::*;
use support::*;

struct Scene {
    alice: Account,
    ca: Authority,
    file: Vec<u8>,
    vault: Vault,
}

fn scene() -> Scene {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let file = alice.file(&ca, PASSPHRASE);
    Scene { alice, ca, file, vault: Vault::start() }
}

fn from_descriptor(file: &[u8], timeout_seconds: u16) -> Request {
    open_from(file, SecretSource::Descriptor { timeout_seconds })
}

fn from_prompt(file: &[u8], timeout_seconds: u16) -> Request {
    open_from(
        file,
        SecretSource::Prompt(Prompt {
            description: "Unlock your 100% secure\ncredential".to_owned(),
            label: "Passphrase:".to_owned(),
            timeout_seconds,
        }),
    )
}

#[test]
fn a_descriptor_gives_the_passphrase() {
    let Scene { file, mut vault, .. } = scene();
    for text in [PASSPHRASE.to_owned(), format!("{PASSPHRASE}\n")] {
        let (read, mut write) = pipe();
        let id = vault.send_with(&from_descriptor(&file, 30), &[read.as_fd()]);
        drop(read);
        let (first, second) = text.split_at(5);
        write.write_all(first.as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(50));
        write.write_all(second.as_bytes()).unwrap();
        drop(write);
        assert!(matches!(vault.wait(id), Response::Opened { .. }));
    }
    for (bytes, error) in [
        (b"wrong".to_vec(), VaultError::WrongPassphrase),
        (vec![], VaultError::SecretUnusable),
        (b"\n".to_vec(), VaultError::SecretUnusable),
        (vec![b'x'; 1025], VaultError::SecretUnusable),
        (vec![b'x'; 60_000], VaultError::SecretUnusable),
        (vec![0xff; 10], VaultError::SecretUnusable),
    ] {
        let (read, mut write) = pipe();
        let id = vault.send_with(&from_descriptor(&file, 30), &[read.as_fd()]);
        drop(read);
        // The vault may hang up before all is written.
        let _ = write.write_all(&bytes);
        drop(write);
        assert_eq!(error_of(vault.wait(id)), error);
    }
}

#[test]
fn waiting_ends_by_itself_by_cancelling_and_by_locking() {
    let Scene { alice, ca, file, mut vault } = scene();
    let session = vault.open(&alice, &ca);
    let (read, _write) = pipe();

    let start = Instant::now();
    let id = vault.send_with(&from_descriptor(&file, 1), &[read.as_fd()]);
    assert_eq!(error_of(vault.wait(id)), VaultError::SecretTimeout);
    // Not before its time; how long after, the machine's load decides.
    assert!(start.elapsed() >= Duration::from_millis(900));

    let id = vault.send_with(&from_descriptor(&file, 600), &[read.as_fd()]);
    let other = vault.send_with(&from_descriptor(&file, 600), &[read.as_fd()]);
    // Nothing else waits meanwhile: the other wait lasts ten minutes.
    let signed = signature_of(vault.call(&Request::SignTls { session, input: tls_input() }));
    certificate(&alice, KeySlot::Authentication).public_key().verify(&tls_input(), &signed).unwrap();
    assert!(matches!(vault.call(&Request::CancelSecret { request: id }), Response::Done));
    assert_eq!(error_of(vault.wait(id)), VaultError::SecretWithdrawn);
    // Cancelling what is not there is no error: it may just have ended.
    assert!(matches!(vault.call(&Request::CancelSecret { request: id }), Response::Done));

    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    assert_eq!(error_of(vault.wait(other)), VaultError::SecretWithdrawn);
    assert_eq!(vault.status(), (0, 0));
}

#[test]
fn what_is_typed_before_a_lock_opens_nothing_after_it() {
    let Scene { file, mut vault, .. } = scene();
    for round in 0..60 {
        let (read, mut write) = pipe();
        let id = vault.send_with(&from_descriptor(&file, 30), &[read.as_fd()]);
        write.write_all(PASSPHRASE.as_bytes()).unwrap();
        drop(write);
        thread::sleep(Duration::from_micros(round * 100));
        let lock = vault.send(&Request::LockAll);
        assert!(matches!(vault.wait(lock), Response::Done));
        let opened = match vault.wait(id) {
            Response::Opened { .. } => true,
            Response::Error(error) => {
                assert_eq!(error, VaultError::SecretWithdrawn);
                false
            }
            _ => panic!("another answer"),
        };
        // Opened it can only have been before the lock, which then closed it.
        assert_eq!(vault.status(), (0, 0), "opened: {opened}");
    }
}

#[test]
fn waits_are_limited() {
    let Scene { file, mut vault, .. } = scene();
    let (read, write) = pipe();
    let ids: Vec<_> =
        (0..20).map(|_| vault.send_with(&from_descriptor(&file, 600), &[read.as_fd()])).collect();
    for id in &ids[16..] {
        assert_eq!(error_of(vault.wait(*id)), VaultError::Busy);
    }
    drop(write);
    for id in &ids[..16] {
        assert_eq!(error_of(vault.wait(*id)), VaultError::SecretUnusable);
    }
}

#[test]
fn descriptors_must_be_there() {
    let Scene { file, mut vault, .. } = scene();
    assert_eq!(vault.refusal(&from_descriptor(&file, 30)), VaultError::Malformed);
    let (read, _write) = pipe();
    let id = vault.send_with(&from_prompt(&file, 30), &[read.as_fd()]);
    assert_eq!(error_of(vault.wait(id)), VaultError::Malformed);
    // One too many of a request that takes none is closed and forgotten.
    let id = vault.send_with(&Request::Status, &[read.as_fd()]);
    assert!(matches!(vault.wait(id), Response::Status { .. }));
    assert_eq!(vault.refusal(&from_descriptor(&file, 30)), VaultError::Malformed);
    // A descriptor that cannot be read.
    let (_read, write) = pipe();
    let id = vault.send_with(&from_descriptor(&file, 1), &[write.as_fd()]);
    assert_eq!(error_of(vault.wait(id)), VaultError::SecretTimeout);
}

/// A pinentry that gives its answers in turn and remembers what it was asked.
fn pinentry(answers: Vec<Vec<u8>>) -> (OwnedFd, OwnedFd, JoinHandle<Vec<String>>) {
    telling_pinentry(answers, mpsc::channel().0)
}

/// As [`pinentry`], and tells of each line that it was asked.
fn telling_pinentry(
    answers: Vec<Vec<u8>>,
    tell: mpsc::Sender<String>,
) -> (OwnedFd, OwnedFd, JoinHandle<Vec<String>>) {
    let (commands, input) = pipe();
    let (output, mut said) = pipe();
    let talk = thread::spawn(move || {
        let mut commands = BufReader::new(std::fs::File::from(commands));
        let mut asked = Vec::new();
        for answer in answers {
            if said.write_all(&answer).is_err() {
                return asked;
            }
            let mut line = String::new();
            if commands.read_line(&mut line).unwrap_or(0) == 0 {
                return asked;
            }
            let _ = tell.send(line.clone());
            asked.push(line);
        }
        asked
    });
    (input.into(), output, talk)
}

fn polite(last: &str) -> Vec<Vec<u8>> {
    let mut answers: Vec<Vec<u8>> =
        ["OK Pleased to meet you\n", "ERR 536871187 Unknown command\n", "OK\n", "OK\n"].map(Vec::from).into();
    answers.push(last.as_bytes().to_vec());
    answers
}

fn prompted(vault: &mut Vault, file: &[u8], answers: Vec<Vec<u8>>) -> (Response, Vec<String>) {
    let (input, output, talk) = pinentry(answers);
    let id = vault.send_with(&from_prompt(file, 5), &[input.as_fd(), output.as_fd()]);
    drop((input, output));
    let response = vault.wait(id);
    (response, talk.join().unwrap())
}

#[test]
fn a_person_is_asked_through_pinentry() {
    let Scene { file, mut vault, .. } = scene();
    let encoded = PASSPHRASE.replace('-', "%2D");
    let (response, asked) = prompted(&mut vault, &file, polite(&format!("D {encoded}\nOK\n")));
    assert!(matches!(response, Response::Opened { .. }));
    assert_eq!(
        asked,
        [
            "SETTIMEOUT 5\n",
            "SETDESC Unlock your 100%25 secure%0Acredential\n",
            "SETPROMPT Passphrase:\n",
            "GETPIN\n"
        ]
    );
    for (last, error) in [
        ("ERR 83886179 Operation cancelled <Pinentry>\n", VaultError::PromptCancelled),
        ("ERR 83886142 Timeout <Pinentry>\n", VaultError::SecretTimeout),
        ("ERR 83886246 No pinentry\n", VaultError::PromptFailed),
        ("BOO\n", VaultError::PromptFailed),
    ] {
        let (response, _) = prompted(&mut vault, &file, polite(last));
        assert_eq!(error_of(response), error, "{last}");
    }
}

/// Answers to SETERROR and SETPROMPT, and then to GETPIN.
fn again(last: &str) -> Vec<Vec<u8>> {
    ["OK\n", "OK\n", last].map(|answer| answer.as_bytes().to_vec()).into()
}

#[test]
fn a_wrong_passphrase_is_asked_for_again_three_times_in_all() {
    let Scene { file, mut vault, .. } = scene();
    let right = format!("D {PASSPHRASE}\nOK\n");
    let errors = |asked: Vec<String>| -> Vec<String> {
        asked.into_iter().filter(|line| line.starts_with("SETERROR")).collect()
    };
    let answers = [polite("D wrong\nOK\n"), again("OK\n"), again(&right)].concat();
    let (response, asked) = prompted(&mut vault, &file, answers);
    assert!(matches!(response, Response::Opened { .. }));
    assert_eq!(
        errors(asked),
        [
            "SETERROR Wrong passphrase. Try 2 of 3\n",
            "SETERROR Nothing that can be used was typed. Try 3 of 3\n"
        ]
    );
    let wrong = "D wrong\nOK\n";
    let (response, asked) =
        prompted(&mut vault, &file, [polite(wrong), again(wrong), again(wrong), again(&right)].concat());
    assert_eq!(error_of(response), VaultError::WrongPassphrase);
    assert_eq!(errors(asked).len(), 2);
    // A person may have enough of it, and a file that is damaged is not asked about twice.
    let cancelled = again("ERR 83886179 Operation cancelled <Pinentry>\n");
    let (response, _) = prompted(&mut vault, &file, [polite(wrong), cancelled].concat());
    assert_eq!(error_of(response), VaultError::PromptCancelled);
    let (response, asked) = prompted(&mut vault, b"no file", polite(wrong));
    assert_eq!(error_of(response), VaultError::Damaged);
    assert!(errors(asked).is_empty());
    assert_eq!(vault.status(), (1, 0));
}

#[test]
fn all_tries_have_one_time_limit() {
    let Scene { file, mut vault, .. } = scene();
    // The second time nobody answers.
    let answers = [polite("D wrong\nOK\n"), ["OK\n", "OK\n", ""].map(Vec::from).into()].concat();
    let (input, output, talk) = pinentry(answers);
    let start = Instant::now();
    let id = vault.send_with(&from_prompt(&file, 2), &[input.as_fd(), output.as_fd()]);
    drop((input, output));
    assert_eq!(error_of(vault.wait(id)), VaultError::SecretTimeout);
    assert!(start.elapsed() < Duration::from_secs(4));
    talk.join().unwrap();
}

#[test]
fn a_lock_also_ends_what_is_done_with_a_secret_that_has_come() {
    let Scene { file, mut vault, .. } = scene();
    let opened = |delay: u64, cancel: bool, vault: &mut Vault| {
        let (read, mut write) = pipe();
        let id = vault.send_with(&from_descriptor(&file, 30), &[read.as_fd()]);
        write.write_all(PASSPHRASE.as_bytes()).unwrap();
        drop(write);
        thread::sleep(Duration::from_micros(delay));
        let end = if cancel { Request::CancelSecret { request: id } } else { Request::LockAll };
        assert!(matches!(vault.call(&end), Response::Done));
        match vault.wait(id) {
            Response::Opened { session, .. } => Some(session),
            Response::Error(error) => {
                assert_eq!(error, VaultError::SecretWithdrawn);
                None
            }
            _ => panic!("another answer"),
        }
    };
    for round in 0..40 {
        if let Some(session) = opened(round * 150, true, &mut vault) {
            // The cancellation came too late: it is open, and can be locked.
            assert!(matches!(vault.call(&Request::Lock { session }), Response::Done));
        }
        // What was cancelled in the middle of it opens nothing, as soon as that is through.
        let end = Instant::now() + Duration::from_secs(10);
        while vault.status() != (0, 0) {
            assert!(Instant::now() < end, "a session stayed open");
        }
    }
}

#[test]
fn hostile_pinentries_are_cut_off() {
    let Scene { file, mut vault, .. } = scene();
    let endless = |line: &str| vec![line.repeat(20_000).into_bytes()];
    for answers in [vec![], vec![vec![]], endless("x"), endless("# comment\n"), endless("S status\n")] {
        let silent = answers == [vec![]];
        let (response, _) = prompted(&mut vault, &file, answers);
        let error = error_of(response);
        assert!(error == VaultError::PromptFailed || silent && error == VaultError::SecretTimeout, "{error}");
    }
    // It answers what it was not asked.
    let (response, _) =
        prompted(&mut vault, &file, polite(&format!("D {}\nOK\n", "x".repeat(900)).repeat(3)));
    let error = error_of(response);
    assert!(matches!(error, VaultError::PromptFailed | VaultError::WrongPassphrase), "{error}");
    let (response, _) = prompted(&mut vault, &file, polite(&format!("D {0}\nD {0}\nOK\n", "x".repeat(900))));
    assert_eq!(error_of(response), VaultError::SecretUnusable);
    assert_eq!(vault.status(), (0, 0));
}

#[test]
fn a_lock_pre_empts_an_open_prompt() {
    let Scene { file, mut vault, .. } = scene();
    let (tell, told) = mpsc::channel();
    let (input, output, talk) = telling_pinentry(polite(""), tell);
    let id = vault.send_with(&from_prompt(&file, 600), &[input.as_fd(), output.as_fd()]);
    assert!(told.iter().any(|line| line.starts_with("GETPIN")));
    assert!(matches!(vault.call(&Request::LockAll), Response::Done));
    assert_eq!(error_of(vault.wait(id)), VaultError::SecretWithdrawn);
    drop((input, output));
    assert_eq!(talk.join().unwrap().len(), 4);
}
