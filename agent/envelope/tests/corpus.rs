//! Replays the seeds of the fuzz targets on stable Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf;
use common::tree::Node;
use common::{Ca, Use};
use life_envelope::root_seal::RootKeySeal;
use life_envelope::signature::content_digest;
use life_envelope::stream::{self, Announced, Digests, Opener, Sealer, StreamKey, segment_digest};
use life_envelope::{
    DocumentId, Envelope, Form, Purpose, SharingStatement, challenge, envelope, fuzz_entry, recipient,
};
use life_pki::KeySlot;
use life_sys::secret::{Key256, SecretBytes};

const TARGETS: &[replay::Target] = &[
    ("challenge", fuzz_entry::challenge),
    ("document_context", fuzz_entry::document_context),
    ("envelope", fuzz_entry::envelope),
    ("recipient_info", fuzz_entry::recipient_info),
    ("root_seal", fuzz_entry::root_seal),
    ("sharing_statement", fuzz_entry::sharing_statement),
    ("signed_attributes", fuzz_entry::signed_attributes),
    ("signed_data", fuzz_entry::signed_data),
    ("stream_body", fuzz_entry::stream_body),
    ("stream_contents", fuzz_entry::stream_contents),
    ("stream_header", fuzz_entry::stream_header),
];

#[test]
fn seeds_and_what_is_made_of_them_do_no_harm() {
    replay::replay(env!("CARGO_MANIFEST_DIR"), TARGETS);
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/corpus").join(target);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), bytes).unwrap();
}

/// The same element with indefinite lengths throughout.
fn indefinite(node: &Node) -> Vec<u8> {
    match node {
        Node::Primitive(..) => node.to_der(),
        Node::Constructed(tag, children) => {
            let inner: Vec<u8> = children.iter().flat_map(indefinite).collect();
            [&[*tag, 0x80][..], &inner, &[0, 0]].concat()
        }
    }
}

/// The content of an envelope for one user.
fn content(sealed: &[u8], user: &common::User) -> Vec<u8> {
    let envelope = Envelope::parse(sealed).unwrap();
    envelope.open(&recipient::unwrap(&envelope.recipients()[0], &user.key).unwrap()).unwrap()
}

#[test]
#[ignore = "writes the seeds anew"]
fn write_seeds() {
    let ca = Ca::new();
    let (rsa, p256) = (ca.rsa(Use::Sign), ca.p256(Use::Sign));
    let keys = [rsa.key.public_key().clone(), p256.key.public_key().clone()];

    let (sealed, _) = envelope::seal(b"content", &keys).unwrap();
    write("envelope", "two-recipients", &sealed);
    write("envelope", "indefinite", &indefinite(&Node::parse(&sealed)));
    let signed = p256.sign(b"content", p256.context(Purpose::Document, &[&p256]));
    write("signed_data", "indefinite", &indefinite(&Node::parse(&signed)));
    for (info, name) in Envelope::parse(&sealed).unwrap().recipients().iter().zip(["one", "other"]) {
        write("recipient_info", name, &info.to_der());
    }
    for (user, name) in [(&rsa, "rsa"), (&p256, "p256")] {
        let context = user.context(Purpose::Document, &[&rsa, &p256]);
        write("document_context", name, &context.to_der());
        write("signed_attributes", name, &user.attributes(b"content", context.clone()).to_der());
        write("signed_data", name, &user.sign(b"content", context));
        write("signed_data", &format!("{name}-detached"), &user.sign_detached(b"content"));
    }
    let statement =
        SharingStatement::new(DocumentId([5; 16]), 1, content_digest(b"original"), vec![p256.listed()]);
    let statement = statement.unwrap().to_der();
    write("sharing_statement", "one-added", &statement);
    let shared = rsa.sign(&statement, rsa.context(Purpose::Share, &[&p256]));
    write("signed_data", "statement", &shared);
    let mut with_statement = Envelope::parse(&sealed).unwrap();
    with_statement.add_statement(&shared).unwrap();
    write("envelope", "with-statement", &with_statement.to_der());

    let sealed = challenge::seal(&[7; 32], p256.uid, KeySlot::Root, p256.key.public_key()).unwrap();
    write("envelope", "challenge", &sealed);
    write("challenge", "root", &content(&sealed, &p256));
    let seal = RootKeySeal {
        uid: p256.uid,
        credential_id: [3; 16],
        generation: 1,
        // EXPOSE: a key made for this file and nothing else.
        root_key: SecretBytes::new(p256.key.to_pkcs8().expose().to_vec()),
        history_key: Key256::from_slice(&[9; 32]).unwrap(),
    };
    let sealed = seal.seal(p256.key.public_key()).unwrap();
    write("root_seal", "first", &content(&sealed, &p256));

    write_stream_seeds(&p256);
}

fn write_stream_seeds(user: &common::User) {
    let (start, sealer) =
        Sealer::new(DocumentId([5; 16]), 1, Announced::Signature, &[user.key.public_key().clone()]).unwrap();
    let length = stream::header_length(&start).unwrap().unwrap();
    write("stream_header", "one-recipient", &start[..length]);
    let envelope = stream::StreamHeader::parse(&start[..length]).unwrap().envelope().to_der();
    write("stream_contents", "key", &content(&envelope, user));
    let mut digests = Digests::new();
    digests.push(&segment_digest(b"content"), 7);
    let manifest = digests.finish(sealer.commitment()).to_der();
    write("stream_contents", "manifest", &manifest);

    // Bodies under the key that the fuzz target uses, made by the second implementation of AES-GCM.
    let signed = user.sign(&manifest, user.context_over(Purpose::Document, Form::Manifest, &[user]));
    for (name, trailer) in [("unsigned", None), ("signed", Some(signed.as_slice()))] {
        let body = [segments(&[b"content"]), sealed_trailer(trailer)].concat();
        write("stream_body", name, &body);
    }
    write("stream_body", "empty", &[segments(&[b""]), sealed_trailer(None)].concat());
    write("stream_body", "truncated", &segments(&[b"content"]));
}

const SALT: [u8; 32] = [0x33; 32];
const PREFIX: [u8; 7] = [0x44; 7];

fn tink_header() -> Vec<u8> {
    [&[0x28][..], &SALT, &PREFIX].concat()
}

/// The cipher under a key derived from the stream key 11….
fn derived(info: &[u8]) -> Aes256Gcm {
    let mut key = [0; 32];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &SALT).extract(&[0x11; 32]);
    extracted.expand(&[info], hkdf::HKDF_SHA256).unwrap().fill(&mut key).unwrap();
    Aes256Gcm::new_from_slice(&key).unwrap()
}

/// The trailer of that stream, and its length.
fn sealed_trailer(signed_data: Option<&[u8]>) -> Vec<u8> {
    let (msg, aad) = (signed_data.unwrap_or_default(), &tink_header()[..]);
    let nonce = aes_gcm::Nonce::try_from(&[0; 12][..]).unwrap();
    let sealed = derived(b"LIFE stream trailer v1").encrypt(&nonce, Payload { msg, aad }).unwrap();
    let length = u32::try_from(sealed.len()).unwrap();
    [&sealed[..], &length.to_be_bytes()].concat()
}

/// Tink's AES256_GCM_HKDF_1MB under the stream key 11…, document 22…, version 1 (FORMATS §5).
fn segments(plaintexts: &[&[u8]]) -> Vec<u8> {
    let associated = [&b"LIFESTRM-v1"[..], &[0x22; 16], &1u64.to_be_bytes(), &[1]].concat();
    let cipher = derived(digest(&SHA256, &associated).as_ref());
    let mut out = tink_header();
    for (number, plaintext) in plaintexts.iter().enumerate() {
        let last = u8::from(number + 1 == plaintexts.len());
        let nonce: Vec<u8> = [&PREFIX[..], &u32::try_from(number).unwrap().to_be_bytes(), &[last]].concat();
        let nonce = aes_gcm::Nonce::try_from(nonce.as_slice()).unwrap();
        out.extend(cipher.encrypt(&nonce, *plaintext).unwrap());
    }
    out
}

/// Seeds under another key than the fuzz target's would reach no further than the first tag.
#[test]
fn the_seeds_of_bodies_open() {
    let content =
        [&[0x30, 61, 2, 1, 1, 4, 32][..], &[0x11; 32], &[4, 16], &[0x22; 16], &[2, 1, 1, 2, 1, 1]].concat();
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit/corpus/stream_body");
    for (seed, plaintext) in [("unsigned", &b"content"[..]), ("signed", b"content"), ("empty", b"")] {
        let mut opener = Opener::new(StreamKey::from_content(&content).unwrap()).unwrap();
        opener.push(std::fs::read(seeds.join(seed)).unwrap().into()).unwrap();
        opener.end_input().unwrap();
        let (mut segment, mut out) = (Vec::new(), Vec::new());
        while opener.next_segment(&mut segment).unwrap() {
            out.extend_from_slice(&segment);
        }
        assert_eq!(out, plaintext, "{seed}");
        assert_eq!(opener.finish().unwrap().trailer.is_some(), seed == "signed", "{seed}");
    }
}
