//! The installed units under a real `systemd --user`: started by the first client, sandboxed, restarted, stopped.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use life_e2e::dev::text;
use life_e2e::{Platform, binaries, skip};

/// How the script says that this machine cannot run it.
const CANNOT: i32 = 77;

#[test]
fn the_agent_is_a_service_of_the_users_systemd() {
    let platform = Platform::start();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(here.join("testkit/user-manager"))
        .arg(here.join("../..").canonicalize().unwrap())
        .arg(binaries::path("life").parent().unwrap())
        .args([&platform.origin, &platform.ca_fingerprint])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    if skip::needs("the agent under systemd --user", said.trim(), output.status.code() != Some(CANNOT)) {
        assert!(output.status.success(), "{}: {said}", output.status);
    }
}
