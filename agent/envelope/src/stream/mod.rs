//! Sealed streams: content of any size, in segments (FORMATS §5). Push-based, constant memory, no I/O.
//!
//! `"LIFESTRM" | u8 version | u32be envelope length | envelope | stream | sealed trailer | u32be its length`
//!
//! The stream part is Tink's AES256_GCM_HKDF_1MB; any Tink library opens it. The trailer, sealed by itself
//! ([`TrailerKey`]), is a SignedData message over a [`Manifest`], or empty in an unsigned stream.

mod header;
mod manifest;
mod opener;
mod pieces;
mod sealer;
mod segments;
mod trailer;

pub use header::{Announced, StreamHeader, StreamKey, header_length};
pub use manifest::{Digests, Manifest, segment_digest};
pub use opener::{Ending, Opener};
pub use pieces::Pieces;
pub use sealer::{Position, Sealer};
pub use trailer::{MAX_TRAILER, TrailerKey};

/// Plaintext bytes of the first segment.
pub const FIRST_SEGMENT: usize = SEGMENT - TINK_HEADER;
/// Plaintext bytes of every other full segment.
pub const SEGMENT: usize = CIPHERTEXT_SEGMENT - TAG;
/// Bytes of a full segment as stored (the first one with Tink's header before it).
pub const CIPHERTEXT_SEGMENT: usize = 1 << 20;
/// Bytes of an authentication tag.
pub const TAG: usize = 16;
/// Tink's header: length byte, salt of 32 bytes, nonce prefix of 7.
pub const TINK_HEADER: usize = 40;
/// The first bytes of every sealed stream.
pub const MAGIC: &[u8; 8] = b"LIFESTRM";
