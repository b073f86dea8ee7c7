//! The command line itself: faults in it, help, and what happens without an agent.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::Stdio;

use support::{Folder, UID, code, error, life, run, stderr};

#[test]
fn faults_in_the_command_line_are_64() {
    let faults: &[&[&str]] = &[
        &[],
        &["frobnicate"],
        &["inbox"],
        &["dev", "up"],
        &["documents"],
        &["documents", "show", "report.pdf"],
        &["documents", "share", UID],
        &["documents", "upload", "report.pdf", "--expect-version", "1"],
        &["encrypt", "report.pdf"],
        &["encrypt", "--to", "report.pdf"],
        &["--as", "nobody", "status"],
        &["register"],
        &["register", "--kind", "visitor"],
        &["register", "--kind", "patient", "--platform", "https://life.example"],
        &["unlock", "me.p12", "--prompt", "--inline"],
        &["unlock", "me.p12", "--prompt", "--passphrase-fd", "3"],
        &["verify", "-", "--content", "-"],
        &["verify", "signature", "--content", "file", "-o", "out"],
        &["user", "fingerprint"],
        &["dev", "up", "--dir", "x", "--users", "patient,patient"],
    ];
    for arguments in faults {
        let output = run(*arguments);
        assert_eq!(code(&output), 64, "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty() && stderr(&output).starts_with("life: "), "{arguments:?}");
    }
}

#[test]
fn faults_are_json_when_asked() {
    let output = run(["encrypt", "--json", "--to", "nobody", "file"]);
    let error = error(&output);
    assert_eq!((code(&output), &error["reason"], &error["exit_code"]), (64, &"USAGE".into(), &64.into()));
}

#[test]
fn a_bad_user_in_the_environment_is_named() {
    let output = life().arg("status").env("LIFE_USER", "me").output().unwrap();
    assert_eq!(code(&output), 64);
    assert!(stderr(&output).contains("LIFE_USER"));
    let output = life().arg("status").env("LIFE_USER", "").output().unwrap();
    assert_eq!(code(&output), 69, "an empty variable counts as unset");
}

#[test]
fn without_an_agent_every_verb_says_so() {
    let folder = Folder::new();
    let file = folder.write("file", b"content");
    let file = file.to_str().unwrap();
    let passphrase = folder.write("passphrase", b"correct horse battery\n");
    let passphrase = passphrase.to_str().unwrap();
    let verbs: &[&[&str]] = &[
        &["status"],
        &["cards"],
        &["lock"],
        &["lock", UID],
        &["unlock", file, "--passphrase-file", passphrase],
        &["register", "--kind", "patient", "--passphrase-file", passphrase],
        &["encrypt", "--to", UID, file],
        &["decrypt", file],
        &["sign", file],
        &["verify", file],
        &["share", "--to", UID, file],
        &["send", UID, file],
        &["inbox", "list"],
        &["inbox", "get", UID],
        &["inbox", "delete", UID],
        &["documents", "upload", file, "--to", UID],
        &["documents", "download", UID],
        &["documents", "list"],
        &["documents", "show", UID],
        &["documents", "share", UID, "--to", UID],
        &["documents", "unshare", UID, "--from", UID],
        &["documents", "delete", UID],
        &["user", "lookup", UID],
        &["user", "certificate", UID],
        &["user", "fingerprint", UID],
        &["events"],
    ];
    for arguments in verbs {
        let output = life().args(*arguments).arg("--json").current_dir(folder.root()).output().unwrap();
        let error = error(&output);
        assert_eq!((code(&output), &error["reason"]), (69, &"AGENT_UNAVAILABLE".into()), "{arguments:?}");
        assert!(error["advice"].as_str().unwrap().contains("life-agentd"), "{arguments:?}");
    }
    assert_eq!(folder.names(), ["file", "passphrase"], "nothing was made");
}

#[test]
fn a_socket_path_that_cannot_be_is_78() {
    let path = format!("/tmp/{}", "x".repeat(120));
    for output in [
        run(["status", "--socket", &path]),
        life().arg("status").env("LIFE_AGENT_SOCKET", &path).output().unwrap(),
    ] {
        assert_eq!(code(&output), 78);
        assert!(stderr(&output).contains("107"));
    }
}

#[test]
fn missing_inputs_are_66() {
    for arguments in [
        &["encrypt", "--to", UID, "/nonexistent"][..],
        &["decrypt", "/nonexistent"],
        &["decrypt", "/"],
        &["sign", "/nonexistent"],
        &["verify", "/nonexistent"],
        &["share", "--to", UID, "/nonexistent"],
        &["send", UID, "/nonexistent"],
        &["unlock", "/nonexistent"],
    ] {
        assert_eq!(code(&run(arguments)), 66, "{arguments:?}");
    }
}

#[test]
fn help_completions_and_man_pages_need_no_agent() {
    for arguments in
        [&["--help"][..], &["-h"], &["help", "inbox", "get"], &["encrypt", "--help"], &["--version"]]
    {
        let output = run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}");
        assert!(output.stdout.ends_with(b"\n"));
    }
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(run(["completions", shell]).stdout.len() > 1000, "{shell}");
    }
    let folder = Folder::new();
    let pages = folder.path("man");
    assert_eq!(code(&run(["man", pages.to_str().unwrap()])), 0);
    let page = std::fs::read_to_string(pages.join("life-inbox-get.1")).unwrap();
    assert!(page.contains("still encrypted"));
}

#[test]
fn json_fields_are_documented_for_every_verb_that_answers() {
    for verb in [
        "cards", "decrypt", "encrypt", "events", "lock", "register", "send", "share", "sign", "status",
        "unlock", "verify",
    ] {
        let output = run([verb, "--help"]);
        assert!(String::from_utf8(output.stdout).unwrap().contains("JSON"), "{verb}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_news() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = life().args(["completions", "bash"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((code(&output), stderr(&output).as_str()), (74, ""));
}

#[test]
fn without_a_terminal_the_passphrase_must_come_from_elsewhere() {
    let folder = Folder::new();
    let certificate = folder.write("me.p12", b"0");
    let socket = folder.path("agent.sock");
    // Enough of an agent for the program to ask for the passphrase.
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut command = std::process::Command::new("setsid");
    command.arg("--wait").arg(env!("CARGO_BIN_EXE_life")).arg("unlock").arg(certificate);
    let output = command.env("LIFE_AGENT_SOCKET", socket).stdin(Stdio::null()).output().unwrap();
    assert_eq!(code(&output), 64, "{}", stderr(&output));
    assert!(stderr(&output).contains("--passphrase-file"));
}

#[test]
fn going_down_twice_or_never_up_is_fine() {
    let folder = Folder::new();
    for _ in 0..2 {
        let output = run(["dev", "down", "--json", "--dir", folder.root().to_str().unwrap()]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(String::from_utf8(output.stdout).unwrap().contains("\"ended_processes\":0"));
    }
}

#[test]
fn a_folder_that_is_not_empty_is_not_taken() {
    let folder = Folder::new();
    folder.write("mine", b"kept");
    let output = run(["dev", "up", "--dir", folder.root().to_str().unwrap()]);
    assert_eq!(code(&output), 73, "{}", stderr(&output));
    assert_eq!(folder.names(), ["mine"]);
}

#[test]
fn a_folder_that_is_no_set_up_is_not_emptied() {
    let folder = Folder::new();
    for name in ["agent", "users"] {
        std::fs::create_dir(folder.path(name)).unwrap();
    }
    folder.write("env", b"mine");
    let output = run(["dev", "down", "--remove", "--dir", folder.root().to_str().unwrap()]);
    assert_eq!(code(&output), 78, "{}", stderr(&output));
    assert_eq!(folder.names(), ["agent", "env", "users"]);
}

#[test]
fn lock_takes_its_user_from_the_option_too() {
    let other = "00000000-0000-4000-8000-000000000000";
    let output = run(["lock", UID, "--as", other]);
    assert_eq!(code(&output), 64, "{}", stderr(&output));
}

#[test]
fn messages_are_named_by_uuid() {
    for arguments in
        [&["inbox", "get", "../x"][..], &["inbox", "delete", "x"], &["inbox", "get", "x", "--raw"]]
    {
        assert_eq!(code(&run(arguments)), 64, "{arguments:?}");
    }
}

#[test]
fn man_pages_are_reported_as_json() {
    let folder = Folder::new();
    let output = run(["man", "--json", folder.path("man").to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["written"].as_u64().is_some_and(|written| written > 20));
}
