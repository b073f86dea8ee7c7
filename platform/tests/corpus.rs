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
        ("document_sharing", fuzz_entry::document_sharing),
        ("document_upload", fuzz_entry::document_upload),
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
    write_document_seeds(&write, key);
    let body = |value: &serde_json::Value| serde_json::to_vec(value).unwrap();
    write("request_body", "begin", &body(&draft.begin_body()));
    write("request_body", "keys", &body(&draft.keys_body()));
    let answers = json!({ "ENCRYPTION": base64(&[1; 32]), "ROOT": base64(&[2; 32]) });
    let commit = json!({ "answers": answers, "log": ["", ""], "seal": "" });
    write("request_body", "commit", &body(&commit));
    write("request_body", "digest", &body(&json!({ "signature_digest": base64(&[3; 32]) })));
    write("request_text", "proof", b"1790000000.MEUCIQ==");
    write("request_text", "query", b"limit=10&after=7");
    let uid = "123e4567-e89b-42d3-a456-426614174000";
    let begin = json!({ "version": 1, "upload_id": "0f".repeat(16) });
    write("request_body", "begin_upload", &body(&begin));
    let digest = base64(&[3; 32]);
    let commit = json!({ "metadata": "MAA=", "signature_digest": digest, "readers": [uid] });
    write("request_body", "commit_document", &body(&commit));
    let share = json!({ "version": 1, "revision": 0, "header": "", "metadata": "MAA=", "readers": [uid] });
    write("request_body", "share_document", &body(&share));
    write("request_text", "range", b"bytes=10-19");
    write("request_text", "suffix", b"bytes=-500");
    write("request_text", "offset", b"8388608");
    write("request_text", "version", b"version=7");
    write("request_text", "document_id", uid.as_bytes());
}

fn write_document_seeds(write: &impl Fn(&str, &str, &[u8]), key: &life_pki::PublicKey) {
    let stream = support::content::stream(100, key);
    let start = life_envelope::stream::header_length(&stream).unwrap().unwrap() + 40;
    write("document_upload", "stream", &stream);
    write("document_upload", "empty-stream", &support::content::stream(0, key));
    write("document_sharing", "header", &stream[..start]);
    write("document_sharing", "metadata", &support::content::envelope(b"x", key));
}

/// A frame as it stands on the socket.
fn frame(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    protocol::write(&mut bytes, value, protocol::MAX_RESPONSE).unwrap();
    bytes
}
