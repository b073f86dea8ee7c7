//! Starts the vault: harden, log, take the socket from standard input, serve until the broker goes.

use std::process::ExitCode;

fn main() -> ExitCode {
    life_vault::process::run()
}
