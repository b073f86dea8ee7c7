//! Tests that cannot run everywhere. What is left out is seen: a test that passes without having looked says so.

use std::io::Write;

/// Says on standard error what is not tested here and why, past the capturing of tests that pass.
pub fn skipped(what: &str, why: &str) {
    let _seen = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

/// Whether something that a test needs is to be had. Where it is not the test fails, unless LIFE_ALLOW_SKIP is set: then
/// it says so and is left out.
pub fn needs(what: &str, why: &str, there: bool) -> bool {
    if !there {
        assert!(std::env::var_os("LIFE_ALLOW_SKIP").is_some(), "{what}: {why}, or set LIFE_ALLOW_SKIP");
        skipped(what, why);
    }
    there
}
