//! What the agent needs of the operating system: secrets that wipe themselves, process hardening,
//! peer identity, descriptors passed over sockets, and files that are written whole or not at all.
//!
//! This is the only crate that may hold `unsafe` code: the allocators, the settings of the one below them, the stacks of
//! threads, AWS-LC's heap, what a child does before it executes its program, and what the kernel is told or asked that
//! has no safe binding. Locked memory is [`arena`] and [`stack`]; [`secret`] is where secrets are born and die,
//! [`hardening::harden`] is what each process calls first, and [`sandbox`] what the vault gives up before it starts.

pub mod arena;
#[cfg(feature = "aws-lc")]
pub mod aws_lc;
pub mod child;
pub mod descriptors;
pub mod files;
pub mod hardening;
pub mod malloc;
pub mod peer;
pub mod private_dir;
pub mod sandbox;
pub mod scratch;
pub mod secret;
mod secret_types;
pub mod stack;
pub mod stream;
pub mod wiping_allocator;
