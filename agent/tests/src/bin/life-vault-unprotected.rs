//! The vault without locked memory and without wiping, for tests to compare with: what finds nothing in the real one has to
//! find something in this. It is never installed.

use std::process::ExitCode;

use life_vault::process::{Memory, run};

fn main() -> ExitCode {
    run(Memory::Plain)
}
