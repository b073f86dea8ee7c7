//! Starts the vault: harden, log, take the socket from standard input, serve until the broker goes.

use std::process::ExitCode;

use life_sys::wiping_allocator::WipingAllocator;

/// Keys and passphrases pass through crates that copy them into plain memory; nothing of it outlives its block.
#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator::new();

fn main() -> ExitCode {
    life_vault::process::run()
}
