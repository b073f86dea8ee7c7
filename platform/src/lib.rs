//! The self-hostable platform: ciphertext, certificates, directories; it cannot decrypt.
//!
//! It stores envelopes and sealed streams, account logs, root key seals and certificates, and answers REST over
//! TLS 1.3. It verifies structure, certificates, account logs and rights. Nothing it holds opens anything: root
//! credentials and working credentials never reach it (FORMATS §6-8).
//!
//! Two processes share the work, and may run under two accounts. `serve` talks to the network and holds a TLS key
//! and a receipt key; `ca` holds the keys that issue and listens on a Unix socket. [`layout`] says which folder
//! belongs to whom.

pub mod authority;
pub mod clock;
pub mod commands;
pub mod config;
pub mod encoding;
pub mod error;
pub mod fuzz_entry;
pub mod http;
pub mod layout;
pub mod output;
pub mod store;

pub use error::Error;
