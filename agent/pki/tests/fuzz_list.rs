//! The list of fuzz targets is the list of fuzz entry functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `<crate>__<function>` for each public function of each crate's `fuzz_entry.rs`.
fn entries() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut crates: Vec<PathBuf> =
        fs::read_dir(root().join("agent")).unwrap().map(|entry| entry.unwrap().path()).collect();
    crates.push(root().join("platform"));
    for folder in crates {
        let Ok(source) = fs::read_to_string(folder.join("src/fuzz_entry.rs")) else { continue };
        let name = folder.file_name().unwrap().to_string_lossy().replace('-', "_");
        let functions: Vec<&str> = (source.lines())
            .filter_map(|line| line.strip_prefix("pub fn ")?.split_once('(').map(|(function, _)| function))
            .collect();
        assert!(!functions.is_empty(), "{name}");
        found.extend(functions.iter().map(|function| format!("{name}__{function}")));
    }
    found
}

#[test]
fn every_entry_function_has_its_target() {
    let entries = entries();
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    let bins: BTreeSet<String> = (manifest.lines())
        .filter_map(|line| Some(line.strip_prefix("name = \"")?.strip_suffix('"')?.to_owned()))
        .filter(|name| name != "life-fuzz")
        .collect();
    assert_eq!(bins, entries, "fuzz/Cargo.toml");
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(root().join("fuzz/fuzz_targets")).unwrap() {
        let path = entry.unwrap().path();
        let target = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (krate, function) = target.split_once("__").unwrap();
        let call = format!("life_{krate}::fuzz_entry::{function}(bytes)");
        assert!(fs::read_to_string(&path).unwrap().contains(&call), "{target} calls {call}");
        files.insert(target);
    }
    assert_eq!(files, entries, "fuzz/fuzz_targets");
}
