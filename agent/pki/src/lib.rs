//! Identities, keys, certificates and account logs, and the rules that judge them.
//!
//! Everything here is pure: no I/O, no clock of its own; the time, the random numbers that matter and the keys
//! are arguments. Bytes from outside are hostile: every parser returns an error and never panics.

pub mod account_log;
pub mod asn1;
pub mod certificate;
pub mod chain;
pub mod csr;
mod ecdsa;
pub mod fuzz_entry;
pub mod key;
pub mod kind;
pub mod private_key;
pub mod profile;
pub mod receipt;
pub mod time;
pub mod trust;
pub mod uid;

pub use certificate::Certificate;
pub use key::{PublicKey, SpkiHash};
pub use kind::{CredentialKind, KeySlot, ParticipantKind};
pub use private_key::PrivateKey;
pub use time::Timestamp;
pub use trust::TrustBundle;
pub use uid::Uid;
