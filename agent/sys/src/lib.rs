//! What the agent needs of the operating system: secrets that wipe themselves, process hardening,
//! peer identity, descriptors passed over sockets, and files that are written whole or not at all.
//!
//! This is the only crate that may hold `unsafe` code: today the allocator that wipes and the settings of the one below it. Locked memory and the sandbox have
//! their place here, behind the same interfaces: [`secret`] is where secrets are born and die, and
//! [`hardening::harden`] is what each process calls first.

pub mod descriptors;
pub mod files;
pub mod hardening;
pub mod malloc;
pub mod peer;
pub mod private_dir;
pub mod secret;
pub mod stream;
pub mod wiping_allocator;
