//! Starts the vault: harden, log, lock its memory, take the socket from standard input, serve until the broker goes.

use std::process::ExitCode;

use life_sys::arena::Arena;
use life_vault::process::{Memory, run};

/// Keys and passphrases pass through crates that copy them into plain memory: all of it is locked, and wiped when freed.
#[global_allocator]
static ALLOCATOR: Arena = Arena;

fn main() -> ExitCode {
    run(Memory::Locked)
}
