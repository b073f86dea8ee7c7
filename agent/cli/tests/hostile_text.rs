//! What comes from platforms and other users does not act on a terminal, and does not forge lines.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::Output;

use support::{Agent, Folder, HOSTILE, UID, code, stderr};

const OTHER: &str = "00000000-0000-4000-8000-000000000000";

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + &stderr(output)
}

fn assert_harmless(text: &str) {
    let acts = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(acts), "{text:?}");
    assert!(!text.lines().any(|line| line.starts_with("life: all is well")), "a line was forged: {text}");
    assert!(text.contains("evil"), "nothing was tried: {text}");
}

#[test]
fn foreign_text_is_harmless_on_a_terminal() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let file = folder.write("file", b"content");
    for arguments in [
        &["inbox", "list", "--as", OTHER][..],
        &["inbox", "get", OTHER, "--as", OTHER],
        &["send", OTHER, file.to_str().unwrap()],
        &["documents", "list"],
        &["documents", "show", OTHER],
        &["documents", "upload", file.to_str().unwrap()],
        &["documents", "share", OTHER, "--to", OTHER],
    ] {
        let text = agent.life().args(arguments).output().unwrap();
        assert_harmless(&printed(&text));
        let json = agent.life().args(arguments).arg("--json").output().unwrap();
        assert_harmless(&printed(&json));
    }
}

#[test]
fn json_readers_get_the_text_as_it_was() {
    let agent = Agent::start();
    let output = agent.life().args(["inbox", "list", "--json", "--as", OTHER]).output().unwrap();
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list["messages"][0]["message_id"], HOSTILE);
}

#[test]
fn a_list_without_end_ends() {
    let agent = Agent::start();
    let output = agent.life().args(["inbox", "list", "--json", "--as", UID]).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("LIST_INCOMPLETE"));
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list["messages"].as_array().unwrap().len(), 100_000);
}

#[test]
fn a_download_without_a_verdict_leaves_nothing() {
    let (agent, folder) = (Agent::start(), Folder::new());
    let out = folder.path("out");
    let mut life = agent.life();
    let output = life.args(["documents", "download", OTHER, "-o"]).arg(&out).output().unwrap();
    assert_eq!(code(&output), 70, "{}", stderr(&output));
    assert!(folder.names().is_empty());
}
