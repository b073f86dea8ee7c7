//! The harness of the end-to-end tests: real binaries, started on loopback and Unix sockets, ended with the test.
//!
//! A [`Platform`] is `life-platform init`, `ca` and `serve` in a folder of its own; an [`Agent`] is `life-agentd` with
//! its vault. Everything that was started is killed by its own process id when the value is dropped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a harness fails by panicking")]

pub mod agent;
pub mod binaries;
pub mod calls;
pub mod cards;
pub mod dev;
pub mod documents;
pub mod enrol;
pub mod forge;
pub mod load;
pub mod nginx;
pub mod platform;
pub mod process;
pub mod scan;
pub mod skip;
pub mod streams;
pub mod tap;
pub mod terminal;
pub mod uploading;
pub mod users;

pub use agent::Agent;
pub use platform::Platform;
pub use tap::{Tap, address_of};
pub use users::{Reason, User};
