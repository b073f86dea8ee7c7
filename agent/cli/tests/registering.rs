//! Registering keeps the software certificate, whatever goes wrong: there is no second copy of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::{Agent, CERTIFICATE, Folder, UID, code, error, stderr};

fn register(agent: &Agent, folder: &Folder, arguments: &[&str]) -> Command {
    let passphrase = folder.write("passphrase", b"correct horse battery\n");
    let mut command = agent.life();
    command.args(["register", "--json", "--kind", "patient", "--passphrase-file"]).arg(passphrase);
    command.args(arguments).current_dir(folder.root()).env("HOME", folder.root());
    command.env("LIFE_STATE_DIR", folder.path("state"));
    command
}

fn rescued(output: &Output) -> String {
    let error = error(output);
    assert_eq!(error["reason"], "OUTPUT_ELSEWHERE", "{error}");
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn the_certificate_is_written_for_its_owner_alone() {
    let (agent, folder) = (Agent::start(), Folder::new());
    for arguments in [&[][..], &["--out", "me.p12"]] {
        let output = register(&agent, &folder, arguments).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    for name in ["me.p12", &format!("{UID}.p12")] {
        let path = folder.path(name);
        assert_eq!(fs::read(&path).unwrap(), CERTIFICATE);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_name_that_leads_nowhere_is_refused_before_anything_is_registered() {
    let (agent, folder) = (Agent::start(), Folder::new());
    symlink(folder.path("missing"), folder.path("link.p12")).unwrap();
    folder.write("taken.p12", b"mine");
    for name in ["link.p12", "taken.p12", "missing/me.p12"] {
        let output = register(&agent, &folder, &["--out", name]).output().unwrap();
        assert_eq!(code(&output), 73, "{name}: {}", stderr(&output));
    }
    assert_eq!(folder.names(), ["link.p12", "passphrase", "taken.p12"]);
}

#[test]
fn a_terminal_is_refused_before_anything_is_registered() {
    let (agent, folder) = (Agent::start(), Folder::new());
    for name in ["-", "/dev/tty"] {
        let command = register(&agent, &folder, &["--out", name]);
        let line: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let mut terminal = Command::new("script");
        terminal.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
        for (name, value) in command.get_envs() {
            terminal.env(name, value.unwrap_or_default());
        }
        let output = terminal.current_dir(folder.root()).stdin(Stdio::null()).output().unwrap();
        assert_eq!(code(&output), 64, "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(folder.names(), ["passphrase"]);
}

#[test]
fn a_full_device_leads_elsewhere() {
    let (agent, folder) = (Agent::start(), Folder::new());
    fs::create_dir(folder.path("state")).unwrap();
    let output = register(&agent, &folder, &["--out", "/dev/full"]).output().unwrap();
    assert_eq!(code(&output), 74, "{}", stderr(&output));
    // As root a file can be made beside the device; it is as good a place as another.
    let message = rescued(&output);
    let saved = message.split("saved as ").nth(1).unwrap().split(": keep").next().unwrap();
    assert_eq!(fs::read(saved).unwrap(), CERTIFICATE);
    assert_eq!(fs::metadata(saved).unwrap().permissions().mode() & 0o777, 0o600);
    fs::remove_file(saved).unwrap();
}

#[test]
fn a_name_that_is_taken_meanwhile_leads_elsewhere() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let target = folder.path("me.p12");
    // The stage set makes a folder of that name while it registers.
    let target = target.to_str().unwrap();
    let output = register(&agent, &folder, &["--out", target, "--resume", target]).output().unwrap();
    assert_eq!(code(&output), 73, "{}", stderr(&output));
    let saved = folder.path(&format!("{UID}.p12"));
    assert!(rescued(&output).contains(saved.to_str().unwrap()));
    assert_eq!(fs::read(saved).unwrap(), CERTIFICATE);
}

#[test]
fn a_reader_that_went_away_leads_elsewhere() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    fs::create_dir(folder.path("state")).unwrap();
    let mut command = register(&agent, &folder, &["--out", "-"]);
    let output = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let saved = folder.path("state").join(format!("{UID}.p12"));
    assert!(rescued(&output).contains(saved.to_str().unwrap()));
    assert_eq!(fs::read(saved).unwrap(), CERTIFICATE);
}

#[test]
fn an_interrupted_registration_is_finished_first() {
    let (agent, folder) = (Agent::start(), Folder::new());
    for (signals, expected) in [(1, 0), (2, 130)] {
        let mut command = register(&agent, &folder, &["--out", "me.p12", "--force", "--resume", "slow"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        for _ in 0..signals {
            std::thread::sleep(Duration::from_millis(500));
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), expected, "{}", stderr(&output));
        assert!(stderr(&output).contains("INTERRUPT_DELAYED"));
        assert_eq!(fs::read(folder.path("me.p12")).unwrap(), CERTIFICATE);
    }
}

/// The stage set never asks for a passphrase, as an agent does that has one for the registration.
#[test]
fn a_passphrase_that_does_not_count_is_not_asked_for_and_not_passed_over_in_silence() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let given = register(&agent, &folder, &["--out", "me.p12", "--resume", "known"]).output().unwrap();
    assert_eq!(code(&given), 0, "{}", stderr(&given));
    assert!(stderr(&given).contains("PASSPHRASE_NOT_USED"), "{}", stderr(&given));
    let fresh = register(&agent, &folder, &["--out", "fresh.p12"]).output().unwrap();
    assert!(!stderr(&fresh).contains("PASSPHRASE_NOT_USED"));

    // Nobody could be asked here: it would fail.
    let mut command = Command::new("setsid");
    command.args(["--wait", env!("CARGO_BIN_EXE_life"), "register", "--json", "--kind", "patient"]);
    command.args(["--out", "typed.p12", "--resume", "known"]).current_dir(folder.root());
    for (name, value) in agent.life().get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let output = command.env("HOME", folder.root()).stdin(Stdio::null()).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(fs::read(folder.path("typed.p12")).unwrap(), CERTIFICATE);
}
