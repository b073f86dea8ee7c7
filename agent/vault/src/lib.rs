//! The process that holds every long-term key.
//!
//! The broker starts it with one end of a socket pair as standard input and is treated as hostile from then on: each
//! frame is capped and parsed into an enum ([`life_vault_protocol`]), each request is looked up in the state table
//! before anything else happens, and what goes out is signatures over typed input, public keys, and content keys
//! that the root credential unwrapped (FORMATS §4 and §6). Once started it needs no file, no network and no other process,
//! and gives them up for good ([`life_sys::sandbox`]).
//!
//! Threads, all made at the start, each on a locked stack:
//! - *quick* workers take turns reading the socket; whoever has read a request answers it, so that a signature costs
//!   one read, one write and no hand-over. Each request runs in one function that is never inlined, called by the
//!   worker's loop, which wipes stack and registers before the answer goes out.
//! - *slow* workers generate keys and derive them from passphrases.
//! - one *waiter* waits for secrets from descriptors and pinentry, so that no wait ever holds up a signature, and
//!   locking pre-empts them all: also what is done with a secret that has come, until its request is answered.
//! - where it may talk to pcscd, one answers questions about smart cards, one watches them come and go, and two touch them: a
//!   card may keep whoever asks it for ever.

#![forbid(unsafe_code)]

mod cards;
mod confinement;
mod delivery;
pub mod fuzz_entry;
mod inbox;
mod keep;
mod lockings;
mod log;
mod operations;
mod outbox;
pub mod process;
mod room;
mod secret_source;
mod server;
mod slow;
mod thread;
pub mod tls;
mod turns;
mod unanswered;
mod waiter;
