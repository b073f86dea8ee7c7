//! Envelopes, signatures, sharing statements and sealed streams.
//!
//! Everything here is pure: no I/O, no clock, no long-term key of its own. Times and keys are arguments; random
//! numbers come from AWS-LC. Bytes from outside are hostile: every parser has limits on size, depth and counts
//! ([`limits`]), returns an [`Error`] and never panics. What goes out is DER; what comes in may be BER.
//!
//! The parts, from the outside in:
//! - [`envelope`]: CMS AuthEnvelopedData (RFC 5083, RFC 5084) with [`recipient`]s and a [`ContentKey`];
//! - [`signature`]: CMS SignedData (RFC 5652 §5) with the mandatory [`attributes`] and their [`context`];
//! - [`sharing`] and [`accounting`]: who was added later, and whether every recipient is accounted for;
//! - [`stream`]: content of any size, sealed segment by segment;
//! - [`challenge`] and [`root_seal`]: the two payloads sealed to a single key.

pub mod accounting;
mod algorithm;
mod asn1;
pub mod attributes;
mod ber;
mod certificate;
pub mod challenge;
mod content_key;
pub mod context;
pub mod envelope;
mod error;
pub mod fuzz_entry;
#[cfg(test)]
mod judged;
pub mod limits;
pub mod oid;
pub mod recipient;
pub mod root_seal;
pub mod sharing;
pub mod signature;
pub mod stream;

pub use algorithm::SignatureAlgorithm;
pub use attributes::SignedAttributes;
pub use content_key::ContentKey;
pub use context::{DocumentContext, DocumentId, Form, ListedRecipient, Purpose};
pub use envelope::Envelope;
pub use error::{Attribute, Error, Refusal, SignatureFault, StreamFault};
pub use recipient::{OwnKey, RecipientId, RecipientInfo};
pub use sharing::SharingStatement;
pub use signature::{SignedData, Verified};
