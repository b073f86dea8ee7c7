//! `life cards`, through agent, vault and a real pcscd.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use life_e2e::cards::{CardKey, Reader, fresh, personalised};
use life_e2e::dev::{life, text};
use life_e2e::{Agent, Platform};
use serde_json::{Value, json};

const NO_SERVICE: &str = "no smart-card service: pcscd does not answer, or agent.toml has no cards.service\n";

fn cards(agent: &Agent, arguments: &[&str]) -> String {
    let output = life(["cards"]).args(arguments).env("LIFE_AGENT_SOCKET", agent.socket()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn cards_are_listed_for_people_and_for_scripts() {
    let Some(mut reader) = Reader::start() else { return };
    let Some(folder) = personalised(CardKey::Rsa2048) else { return };
    let platform = Platform::start();
    let agent =
        Agent::start_with(&platform, &format!("[cards]\nservice = '{}'\n", reader.socket().display()));
    assert_eq!(cards(&agent, &[]), "Virtual PCD 00 00: EMPTY\nVirtual PCD 00 01: EMPTY\n");
    assert_eq!(cards(&Agent::start(&platform), &[]), NO_SERVICE, "not to be asked");

    let card = reader.insert(folder.path());
    let said: Value = serde_json::from_str(&cards(&agent, &["--json"])).unwrap();
    let listed = &said["readers"][0]["card"];
    let name = listed["card"].as_str().unwrap();
    assert_eq!(name.strip_prefix("cards/").map(str::len), Some(32), "{name}");
    let certificates: Vec<_> = [("AUTHENTICATION", "9A"), ("SIGNATURE", "9C"), ("ENCRYPTION", "9D")]
        .map(|(slot, file)| {
            let certificate = fs::read_to_string(folder.path().join(format!("{file}.pem"))).unwrap();
            json!({ "slot": slot, "certificate": certificate })
        })
        .into();
    let expected = json!({
        "card": name, "kind": "PIV", "pin_tries_left": 3, "puk_tries_left": null, "certificates": certificates,
    });
    assert_eq!(*listed, expected);
    assert_eq!(said["readers"][1], json!({ "reader": "Virtual PCD 00 01", "state": "EMPTY", "card": null }));
    let shown = cards(&agent, &[]);
    assert!(shown.starts_with(&format!("Virtual PCD 00 00: PIV {name}\n  PIN: 3 tries left\n")), "{shown}");
    assert!(shown.contains("certificates: AUTHENTICATION, SIGNATURE, ENCRYPTION\n"), "{shown}");
    // Its number is in no log.
    assert!(!agent.log().contains(&name["cards/".len()..]));
    card.pull();

    let other = fresh();
    let card = reader.insert_faulty(other.path(), &["--slow", "a4:600000"]);
    assert!(cards(&agent, &[]).starts_with("Virtual PCD 00 00: SILENT\n"));
    card.pull();
    reader.unplug();
    assert_eq!(cards(&agent, &[]), NO_SERVICE);
    reader.plug_in();
    assert_eq!(cards(&agent, &[]), "Virtual PCD 00 00: EMPTY\nVirtual PCD 00 01: EMPTY\n");
}
