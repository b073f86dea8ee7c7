//! No parser panics, whatever the bytes: random ones, and good messages bent in many places at once.
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::OnceLock;

use life_envelope::fuzz_entry;
use proptest::prelude::*;
use proptest::sample::Index;

const TARGETS: [fn(&[u8]); 11] = [
    fuzz_entry::challenge,
    fuzz_entry::document_context,
    fuzz_entry::envelope,
    fuzz_entry::recipient_info,
    fuzz_entry::root_seal,
    fuzz_entry::sharing_statement,
    fuzz_entry::signed_attributes,
    fuzz_entry::signed_data,
    fuzz_entry::stream_body,
    fuzz_entry::stream_contents,
    fuzz_entry::stream_header,
];

/// Every fixture and seed of a moderate size.
fn messages() -> &'static [Vec<u8>] {
    static MESSAGES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let mut found = Vec::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(std::fs::read(path).unwrap());
                }
            }
        }
        found.retain(|bytes| bytes.len() < 16 << 10);
        found.sort();
        found
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bent_messages(
        which: Index,
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<Index>()),
        moved in prop::option::of((any::<Index>(), any::<Index>(), 0..40usize)),
    ) {
        let mut bytes = which.get(messages()).clone();
        for (at, value) in changes.iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
            let at = at.index(bytes.len());
            bytes[at] = *value;
        }
        if let (Some((from, to, length)), false) = (moved, bytes.is_empty()) {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let piece: Vec<u8> = bytes[from..].iter().take(length).copied().collect();
            bytes.splice(to..to, piece);
        }
        if let (Some(cut), false) = (cut, bytes.is_empty()) {
            bytes.truncate(cut.index(bytes.len()));
        }
        TARGETS.iter().for_each(|target| target(&bytes));
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), tag in prop::sample::select(vec![0x30u8, 0x31, 0xa1, 0x24])) {
        TARGETS.iter().for_each(|target| target(&bytes));
        let tagged = [&[tag, 0x80][..], &bytes].concat();
        TARGETS.iter().for_each(|target| target(&tagged));
    }
}
