//! What the agent needs of the operating system: secrets that wipe themselves, process hardening,
//! peer identity, descriptors passed over sockets, and files that are written whole or not at all.
//!
//! This is the only crate that may hold `unsafe` code: the allocators, the settings of the one below them, the stacks of
//! threads, AWS-LC's heap, and what a child does before it executes its program. Locked memory is [`arena`] and [`stack`]; the sandbox has its place here as well, behind the
//! same interfaces: [`secret`] is where secrets are born and die, and [`hardening::harden`] is what each process calls
//! first.

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
pub mod scratch;
pub mod secret;
mod secret_types;
pub mod stack;
pub mod stream;
pub mod wiping_allocator;
