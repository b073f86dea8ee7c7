//! Replays the seeds of the fuzz targets on stable Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../fuzz/replay.rs"]
mod replay;

use life_credentials::fuzz_entry;

#[test]
fn seeds_and_what_is_made_of_them_do_no_harm() {
    replay::replay(
        env!("CARGO_MANIFEST_DIR"),
        &[
            ("card_object", fuzz_entry::card_object),
            ("key_bundle", fuzz_entry::key_bundle),
            ("pkcs12", fuzz_entry::pkcs12),
            ("super_pin", fuzz_entry::super_pin),
        ],
    );
}
