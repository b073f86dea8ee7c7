//! Nothing to steal: what is in the memory and the registers of the running programs, judged from outside.
//!
//! While users are unlocked their secrets are in the vault's sheltered memory and nowhere else; after a lock they are
//! nowhere. That the judge finds what is there is tested as well ([`judge`]).

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod control;
mod cycles;
mod ends;
mod flood;
mod judge;
mod limits;
mod scene;
mod ways;
