//! Judged by Tink (PyPI `tink`), both directions, at every boundary.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use bytes::Bytes;
use std::io::Write;
use std::process::{Command, Stdio};

use common::{Ca, Files, Use, User};
use life_envelope::DocumentId;
use life_envelope::stream::{
    self, Announced, FIRST_SEGMENT, Opener, Position, SEGMENT, Sealer, StreamKey, TrailerKey,
};

const DOCUMENT: DocumentId = DocumentId([5; 16]);

fn python() -> String {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.venv/bin/python");
    std::env::var("LIFE_TEST_PYTHON").unwrap_or_else(|_| default.to_owned())
}

/// Runs all cases in one Python process; they must succeed.
fn tink(files: &Files, cases: &str) {
    let (succeeded, text) = run(files, cases);
    assert!(succeeded, "{text}\nIf Python lacks Tink: {HINT}");
}

const HINT: &str = "make a virtual environment with `python3 -m venv .venv && .venv/bin/pip install tink` at the root \
                    of the repository, or name its python in LIFE_TEST_PYTHON";

fn run(files: &Files, cases: &str) -> (bool, String) {
    let python = python();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judges/tink_judge.py");
    let mut child = Command::new(&python)
        .args([script, &files.path("")])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {python} ({error}): {HINT}"));
    child.stdin.take().unwrap().write_all(cases.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn lengths() -> impl Iterator<Item = usize> {
    let second = FIRST_SEGMENT + SEGMENT;
    let boundaries = [FIRST_SEGMENT, second].into_iter().flat_map(|it| [it - 1, it, it + 1]);
    [0, 1].into_iter().chain(boundaries).chain([3_000_000])
}

fn plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 253) as u8).collect()
}

fn seal(user: &User, plaintext: &[u8]) -> Vec<u8> {
    let (mut out, mut sealer) =
        Sealer::new(DOCUMENT, 3, Announced::Nothing, &[user.key.public_key().clone()]).unwrap();
    let mut rest = plaintext;
    loop {
        let (segment, after) = rest.split_at(rest.len().min(sealer.segment_size()));
        rest = after;
        let mut segment = segment.to_vec();
        let position = if rest.is_empty() { Position::Last } else { Position::Inner };
        let tag = sealer.seal_segment(&mut segment, position).unwrap();
        out.extend_from_slice(&segment);
        out.extend_from_slice(&tag);
        if rest.is_empty() {
            out.extend_from_slice(&sealer.finish(None).unwrap());
            return out;
        }
    }
}

#[test]
fn tink_opens_ours() {
    let (ca, files) = (Ca::new(), Files::new());
    let user = ca.p256(Use::Encrypt);
    let mut cases = String::new();
    for length in lengths() {
        let sealed = seal(&user, &plaintext(length));
        let header = stream::header_length(&sealed).unwrap().unwrap();
        let key = user.stream_key(&sealed[..header]);
        files.write(&format!("sealed{length}"), &common::split_trailer(&sealed).0[header..]);
        let (secret, data) = (hex::encode(key.expose()), hex::encode(key.associated_data()));
        cases.push_str(&format!("open sealed{length} opened{length} {secret} {data}\n"));
    }
    tink(&files, &cases);
    for length in lengths() {
        assert!(files.read(&format!("opened{length}")) == plaintext(length), "{length}");
    }
    // The control: the judge can fail. Another document's associated data does not open the same stream.
    let other = cases.lines().next().unwrap().rsplit_once(' ').unwrap().0.to_owned();
    let (succeeded, text) = run(&files, &format!("{other} {}\n", "00".repeat(32)));
    assert!(!succeeded && text.contains("TinkError"), "{text}");
}

#[test]
fn ours_opens_tink() {
    let files = Files::new();
    // StreamKeyContent by hand: version 1, key, document id, document version 3, suite 1.
    let content =
        [&[0x30, 61, 2, 1, 1, 4, 32][..], &[7; 32], &[4, 16], &DOCUMENT.0, &[2, 1, 3, 2, 1, 1]].concat();
    let key = || StreamKey::from_content(&content).unwrap();
    let (secret, data) = (hex::encode(key().expose()), hex::encode(key().associated_data()));
    let mut cases = String::new();
    for length in lengths() {
        files.write(&format!("plain{length}"), &plaintext(length));
        cases.push_str(&format!("seal plain{length} sealed{length} {secret} {data}\n"));
    }
    tink(&files, &cases);
    for length in lengths() {
        let mut opener = Opener::new(key()).unwrap();
        let (mut opened, mut segment) = (Vec::new(), Vec::new());
        let segments = files.read(&format!("sealed{length}"));
        let trailer = TrailerKey::derive(&key(), segments.first_chunk().unwrap()).unwrap().seal(None);
        let sealed = [segments, trailer.unwrap()].concat();
        for piece in sealed.chunks(300_000) {
            opener.push(Bytes::copy_from_slice(piece)).unwrap();
            while opener.next_segment(&mut segment).unwrap() {
                opened.extend_from_slice(&segment);
            }
        }
        opener.end_input().unwrap();
        while opener.next_segment(&mut segment).unwrap() {
            opened.extend_from_slice(&segment);
        }
        let ending = opener.finish().unwrap();
        assert!(opened == plaintext(length) && ending.length == length as u64, "{length}");
    }
}
