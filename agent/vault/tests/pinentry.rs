//! The prompt with the real pinentry-curses, on a terminal that the test holds.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod support;

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use life_vault_protocol::*;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use support::people::*;
use support::*;

/// A terminal: what the test writes is typed, what it reads is on the screen.
struct Terminal {
    master: std::fs::File,
    name: String,
}

#[test]
fn a_person_types_the_passphrase_and_another_closes_the_dialog() {
    let ca = Authority::new();
    let alice = Account::new(&ca, uid(ALICE), Keys::P256);
    let file = alice.file(&ca, PASSPHRASE);
    let mut vault = Vault::start();

    let (answer, screen) = ask(&mut vault, &file, &format!("{PASSPHRASE}\r"));
    assert!(matches!(answer, Response::Opened { .. }));
    for word in ["Unlock 100% of it", "for the test", "Passphrase:"] {
        assert!(screen.contains(word), "{word} in {screen}");
    }
    assert!(!screen.contains(PASSPHRASE));

    // Past the OK button to Cancel.
    let (answer, _) = ask(&mut vault, &file, "\t\t\r");
    assert_eq!(error_of(answer), VaultError::PromptCancelled);
}

/// Has a pinentry ask, types the keys once the dialog is there, and gives the answer and the screen.
fn ask(vault: &mut Vault, file: &[u8], keys: &str) -> (Response, String) {
    let mut terminal = terminal();
    let (mut child, input, output) = pinentry(&terminal.name);
    let prompt = Prompt {
        description: "Unlock 100% of it\nfor the test".to_owned(),
        label: "Passphrase:".to_owned(),
        timeout_seconds: 20,
    };
    let request = open_from(file, SecretSource::Prompt(prompt));
    let id = vault.send_with(&request, &[input.as_fd(), output.as_fd()]);
    drop((input, output));

    let mut screen = String::new();
    while !screen.contains("Cancel") {
        let mut buffer = [0; 4096];
        let count = terminal.master.read(&mut buffer).unwrap();
        screen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    // The dialog reads its keys a moment after it is drawn.
    thread::sleep(Duration::from_millis(200));
    terminal.master.write_all(keys.as_bytes()).unwrap();
    let answer = vault.wait(id);
    child.kill().unwrap();
    child.wait().unwrap();
    (answer, screen)
}

fn terminal() -> Terminal {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let size = rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size).unwrap();
    Terminal { master: master.into(), name }
}

fn pinentry(terminal: &str) -> (Child, OwnedFd, OwnedFd) {
    let (commands, input) = pipe();
    let (output, answers) = pipe();
    let child = Command::new("pinentry-curses")
        .args(["--ttyname", terminal, "--ttytype", "xterm", "--lc-ctype", "C.UTF-8"])
        .stdin(commands)
        .stdout(answers)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (child, input.into(), output)
}
