//! Replays seed corpora on stable Rust: included by the test `tests/corpus.rs` of each crate that has fuzz targets.
//!
//! Each seed is also cut and bent a little, in the same way every time, so that a parser that trusts a length or an
//! index is caught without a fuzzer.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::Path;

/// A fuzz target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// Runs every target on the seeds in `testkit/corpus/<target>`; there must be one folder per target and no other.
pub fn replay(manifest_folder: &str, targets: &[Target]) {
    let corpus = Path::new(manifest_folder).join("testkit/corpus");
    let mut folders: Vec<String> = names(&corpus);
    folders.sort();
    let mut expected: Vec<&str> = targets.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    assert_eq!(folders, expected, "one folder of seeds per target");
    for (name, body) in targets {
        let folder = corpus.join(name);
        let seeds = names(&folder);
        assert!(!seeds.is_empty(), "{name} has no seed");
        for seed in seeds {
            let bytes = std::fs::read(folder.join(&seed)).expect("a seed");
            body(&bytes);
            bend(&bytes, *body);
        }
        body(&[]);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// At most this many variants of each kind per seed: parsers verify signatures, and tests are for every day.
const VARIANTS: usize = 200;

fn bend(seed: &[u8], body: fn(&[u8])) {
    let step = seed.len() / VARIANTS + 1;
    for at in (0..seed.len()).step_by(step) {
        body(&seed[..at]);
        let mut bent = seed.to_vec();
        for value in [bent[at] ^ 1 << (at % 8), 0xff, 0x80, 0] {
            bent[at] = value;
            body(&bent);
        }
        bent = seed.to_vec();
        bent.remove(at);
        body(&bent);
    }
    body(&[seed, seed].concat());
    body(&[seed, &[0]].concat());
}
