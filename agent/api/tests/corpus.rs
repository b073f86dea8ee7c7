//! Replays the seeds of the fuzz targets on stable Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../fuzz/replay.rs"]
mod replay;

use life_api::fuzz_entry;

#[test]
fn seeds_and_what_is_made_of_them_do_no_harm() {
    let targets: &[replay::Target] = &[("headers", fuzz_entry::headers), ("target", fuzz_entry::target)];
    replay::replay(env!("CARGO_MANIFEST_DIR"), targets);
}
