//! Replays the seeds of the fuzz targets on stable Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../fuzz/replay.rs"]
mod replay;
mod support;

use life_pki::{ParticipantKind, Uid};
use life_platform::authority::evidence::{Evidence, Keys};
use life_platform::authority::protocol::{self, Request, Response, SignedList};
use life_platform::encoding::{Base64, base64};
use life_platform::fuzz_entry;
use serde_json::json;
use support::Draft;

#[test]
fn seeds_and_what_is_made_of_them_do_no_harm() {
    let targets: &[replay::Target] = &[
        ("ca_request", fuzz_entry::ca_request),
        ("ca_response", fuzz_entry::ca_response),
        ("deposit", fuzz_entry::deposit),
        ("request_body", fuzz_entry::request_body),
        ("request_text", fuzz_entry::request_text),
    ];
    replay::replay(env!("CARGO_MANIFEST_DIR"), targets);
}

/// Run by hand after a format changed: `cargo test -p life-platform --test corpus -- --ignored`
#[test]
#[ignore = "writes the seeds"]
fn write_seeds() {
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/corpus").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    };
    let draft = Draft { uid: Uid::from_random([0; 16]), ..Draft::new(ParticipantKind::Patient) };
    let keys: Keys = serde_json::from_value(draft.keys_body()).unwrap();
    let log = draft.log().iter().map(|entry| Base64(entry.to_der().to_vec())).collect();
    let uid = draft.uid.to_string();
    let issue = Request::Issue { uid: uid.clone(), evidence: Evidence { keys, log } };
    let revoke = Request::Revoke { uid, credential: draft.credential.to_string(), time: 1_790_000_000 };
    write("ca_request", "issue", &frame(&issue));
    write("ca_request", "revoke", &frame(&revoke));
    write("ca_request", "crl", &frame(&Request::Crl));
    let list = SignedList { der: Base64(vec![0x30, 0]), this_update: 1, next_update: 2 };
    write("ca_response", "crl", &frame(&Response::Crl(list)));
    let certificates = [("ROOT".to_owned(), Base64(vec![0x30, 0]))].into();
    write("ca_response", "issued", &frame(&Response::Issued { certificates }));
    write("ca_response", "refused", &frame(&Response::Refused { message: "no".to_owned() }));
    let key = draft.root.public_key();
    write("deposit", "envelope", &support::content::envelope(b"x", key));
    write("deposit", "stream", &support::content::stream(100, key));
    write("deposit", "empty-stream", &support::content::stream(0, key));
    let body = |value: &serde_json::Value| serde_json::to_vec(value).unwrap();
    write("request_body", "begin", &body(&draft.begin_body()));
    write("request_body", "keys", &body(&draft.keys_body()));
    let answers = json!({ "ENCRYPTION": base64(&[1; 32]), "ROOT": base64(&[2; 32]) });
    let commit = json!({ "answers": answers, "log": ["", ""], "seal": "" });
    write("request_body", "commit", &body(&commit));
    write("request_body", "digest", &body(&json!({ "signature_digest": base64(&[3; 32]) })));
    write("request_text", "proof", b"1790000000.MEUCIQ==");
    write("request_text", "query", b"limit=10&after=7");
}

/// A frame as it stands on the socket.
fn frame(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    protocol::write(&mut bytes, value, protocol::MAX_RESPONSE).unwrap();
    bytes
}
