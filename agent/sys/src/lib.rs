//! What the agent needs of the operating system: secrets that wipe themselves, process hardening,
//! peer identity and descriptors passed over sockets.
//!
//! This is the only crate that may hold `unsafe` code; today it needs none. Locked memory and the
//! sandbox have their place here, behind the same interfaces.

pub mod secret;
