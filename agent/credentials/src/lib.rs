//! Working credentials: one module a kind, and the root credential they open.
//!
//! What is read here comes from outside: files and seals are hostile until they have proved otherwise. Nothing here
//! does I/O or asks for the time; the vault passes bytes, passphrases and the time in.

pub mod card;
mod decryption;
mod error;
mod export;
pub mod fuzz_entry;
pub mod key_bundle;
mod pfx;
mod root;
mod software_certificate;
mod super_pin;

pub use error::{CredentialError, RootError};
pub use export::{ExportSlot, export};
pub use root::{RootCredential, seal};
pub use software_certificate::{
    MAX_CERTIFICATE, MAX_FILE, MAX_ISSUERS, SigningCredential, SoftwareCertificate, WORKING_SLOTS,
};
pub use super_pin::{LookupId, SuperPin, SuperPinError};
