//! The operator's view: whoever holds everything the platform has opens nothing.
//!
//! The attack collects every private key and every ciphertext from the platform's folder (database, blobs, all keys of
//! server and CA) and tries each key on each recipient of each envelope; what an envelope yields is searched for
//! further keys until nothing new comes. The control runs the same code with one user's key added, and opens all that
//! is addressed to that user: so the attack can succeed, and the test can fail.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use life_e2e::{Agent, Platform, User, documents, forge, streams};
use life_envelope::envelope::Envelope;
use life_envelope::recipient;
use life_envelope::root_seal::RootKeySeal;
use life_envelope::signature::content_digest;
use life_envelope::stream::{FIRST_SEGMENT, MAGIC, SEGMENT, StreamHeader, StreamKey};
use life_pki::PrivateKey;
use life_proto::v1;
use v1::ParticipantKind;

const PLAINTEXT: &[u8] = b"Befund: Diabetes mellitus Typ 2, HbA1c 8.3 %, Kontrolle in drei Monaten. ";

/// What a document is called, which its content does not say.
const TITLE: &str = "Geheimer Titel eines Dokuments";

fn files_below(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.metadata().is_ok_and(|meta| meta.is_file()) {
            found.push(path);
        }
    }
}

/// Every byte string the operator has: whole files, and each cell of each table of each database.
fn everything(dir: &Path) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    files_below(dir, &mut files);
    let mut all = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        if bytes.starts_with(b"SQLite format 3\0") {
            let database = rusqlite::Connection::open(&file).unwrap();
            let mut tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").unwrap();
            let tables: Vec<String> =
                tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
            for table in tables {
                let mut rows = database.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
                let columns = rows.column_count();
                let mut rows = rows.query([]).unwrap();
                while let Some(row) = rows.next().unwrap() {
                    for column in 0..columns {
                        match row.get_ref(column).unwrap() {
                            rusqlite::types::ValueRef::Blob(cell) | rusqlite::types::ValueRef::Text(cell) => {
                                all.push(cell.to_vec());
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        all.push(bytes);
    }
    all
}

/// What would let somebody confirm a guess at a content without any key: digests of all of it, of each segment of the
/// sealed stream, and of their list; each raw, in hex and in base64.
fn digests_of(plaintext: &[u8]) -> Vec<Vec<u8>> {
    let (first, rest) = plaintext.split_at(plaintext.len().min(FIRST_SEGMENT));
    let list: Vec<[u8; 32]> = [first].into_iter().chain(rest.chunks(SEGMENT)).map(content_digest).collect();
    let mut digests = vec![content_digest(plaintext), content_digest(&list.concat())];
    digests.extend(list.iter().map(|digest| content_digest(digest)));
    digests.extend(list);
    let text = |digest: &[u8; 32]| {
        let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes();
        let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, digest);
        [digest.to_vec(), hex, base64.into_bytes()]
    };
    digests.iter().flat_map(text).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let (first, rest) = part.split_first().unwrap();
    let mut left = bytes;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}

#[derive(Default)]
struct Attack {
    keys: Vec<PrivateKey>,
    envelopes: Vec<Vec<u8>>,
    opened: Vec<Vec<u8>>,
}

impl Attack {
    fn on(everything: &[Vec<u8>]) -> Self {
        let mut attack = Self::default();
        for bytes in everything {
            attack.keys.extend(forge::keys_in(bytes));
            if let Ok(header) = life_envelope::stream::header_length(bytes)
                && let Some(length) = header
                && StreamHeader::parse(&bytes[..length]).is_ok()
            {
                attack.envelopes.push(bytes[MAGIC.len() + 5..length].to_vec());
            } else if Envelope::parse(bytes).is_ok() {
                attack.envelopes.push(bytes.clone());
            }
        }
        attack.envelopes.sort();
        attack.envelopes.dedup();
        attack
    }

    /// Tries every key on every recipient until nothing new opens; returns how many envelopes opened.
    fn run(&mut self) -> usize {
        let mut open = vec![false; self.envelopes.len()];
        loop {
            let mut found = Vec::new();
            for (index, der) in self.envelopes.iter().enumerate().filter(|(index, _)| !open[*index]) {
                let envelope = Envelope::parse(der).unwrap();
                let content = envelope.recipients().iter().find_map(|info| {
                    self.keys.iter().find_map(|key| envelope.open(&recipient::unwrap(info, key).ok()?).ok())
                });
                if let Some(content) = content {
                    found.push((index, content));
                }
            }
            if found.is_empty() {
                return open.iter().filter(|open| **open).count();
            }
            for (index, content) in found {
                open[index] = true;
                let fresh = self
                    .keys
                    .iter()
                    .find_map(|key| RootKeySeal::open(&self.envelopes[index], key).ok())
                    .map(|seal| PrivateKey::from_pkcs8(seal.root_key.expose()).unwrap());
                self.keys.extend(fresh);
                self.opened.push(content);
            }
        }
    }
}

#[tokio::test]
async fn the_operator_opens_nothing_and_the_user_everything() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::ready(&mut clients, ParticipantKind::Patient).await;
    let long = PLAINTEXT.repeat(30_000);
    for plaintext in [PLAINTEXT, b"", &long] {
        let header = v1::SendHeader {
            user: clinic.name.clone(),
            recipient: patient.name.clone(),
            ..Default::default()
        };
        streams::send(&mut clients, header, plaintext).await.unwrap();
    }

    // Documents: one for the patient from the beginning, one that is shared later, and one that has another version.
    for (readers, shared, replaced) in
        [(&[&patient][..], false, false), (&[], true, false), (&[], false, true)]
    {
        let id = documents::fresh_id();
        let header =
            v1::UploadDocumentHeader { title: TITLE.into(), ..documents::header(&clinic, &id, readers) };
        documents::upload(&mut clients, header.clone(), &long).await.unwrap();
        if shared {
            documents::share(&mut clients, &clinic, &id, &[&patient]).await.unwrap();
        }
        if replaced {
            let next = v1::UploadDocumentHeader { replaces_version: 1, ..header };
            documents::upload(&mut clients, next, PLAINTEXT).await.unwrap();
        }
    }

    let everything = everything(platform.dir());
    let digests: Vec<_> = [PLAINTEXT, b"", &long].into_iter().flat_map(digests_of).collect();
    for bytes in &everything {
        assert!(!digests.iter().any(|digest| contains(bytes, digest)), "a digest of plaintext is stored");
        for window in PLAINTEXT.windows(16).step_by(8) {
            let found = bytes.windows(16).any(|there| there == window);
            assert!(!found, "plaintext lies in the platform's storage");
        }
        assert!(!contains(bytes, TITLE.as_bytes()), "the title of a document lies in the platform's storage");
        for user in [&clinic, &patient] {
            assert!(!bytes.windows(user.passphrase.len()).any(|there| there == user.passphrase));
        }
    }

    let mut operator = Attack::on(&everything);
    assert!(operator.keys.len() >= 4, "the CA's and the server's keys were found: {}", operator.keys.len());
    let envelopes = operator.envelopes.len();
    assert!(envelopes >= 12, "two seals, three messages, three documents, one in two states: {envelopes}");
    assert_eq!(operator.run(), 0, "the operator opened something");

    // The control: the same attack with the patient's software certificate.
    let mut control = Attack::on(&everything);
    control.keys.extend(forge::keys_of(&patient));
    let opened = control.run();
    // A document is content and description; what lay there before the sharing is not for the patient.
    let expected = 6 + 2 * 2;
    assert_eq!(opened, expected, "a seal, two challenges of the registration, three messages, two documents");
    let streams = control.opened.iter().filter(|content| StreamKey::from_content(content).is_ok()).count();
    assert_eq!(streams, 3 + 2);
}
