//! Replays the seeds of the fuzz targets on stable Rust.

#[path = "../../../fuzz/replay.rs"]
mod replay;

use life_vault::fuzz_entry;

#[test]
fn seeds_and_what_is_made_of_them_do_no_harm() {
    replay::replay(
        env!("CARGO_MANIFEST_DIR"),
        &[("pinentry", fuzz_entry::pinentry), ("tls_input", fuzz_entry::tls_input)],
    );
}
