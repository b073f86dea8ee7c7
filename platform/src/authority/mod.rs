//! The certificate authority: the only part of the platform that can issue.
//!
//! It runs as a process of its own and trusts `serve` with nothing but delivery: it verifies the evidence of every
//! registration itself, issues for one genesis per user, and remembers what it issued and revoked.

pub mod added;
pub mod client;
pub mod crl;
pub mod evidence;
pub mod keys;
pub mod ledger;
pub mod mint;
pub mod protocol;
pub mod service;
pub mod setup;
