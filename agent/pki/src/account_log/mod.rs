//! The account log: the append-only, hash-chained, signed history of one account (FORMATS §7).
//!
//! The platform and its CA are the stated attacker. Whatever they serve, an account is what its log says: which
//! working credentials are live, and which root credential belongs to which generation. A log proves itself:
//!
//! 1. Entry 0 is the genesis; it names the user, the kind of participant and the first permanent working
//!    credential, which signs it. Entry 1 is the first root credential.
//! 2. Every entry carries its index, the hash of the whole entry before it, the same user id, and a time that is
//!    not before the previous entry's.
//! 3. Every entry is signed by a permanent working credential that was live after the entry before. An access token
//!    signs no entry. A working credential that is added proves that it holds its signature key.
//! 4. No credential id and no key ever comes twice, not even after a revocation.
//! 5. Root generations count 1, 2, 3 … without a gap.
//! 6. The last live permanent working credential cannot be revoked.
//! 7. No time lies in the future, clocks being off by [`crate::time::MAX_CLOCK_SKEW`] at most. Else whoever steals
//!    one working credential could date an entry to the year 9999, and nobody could revoke it at a real time.
//! 8. At most [`MAX_ENTRIES`] entries of at most [`MAX_ENTRY_SIZE`] bytes, each in its only spelling: that of DER,
//!    with the smaller of the two s that an ECDSA signature can have.
//!
//! A log that proves itself may still be an old one or a second one. Against that, whoever has seen a log keeps a
//! [`Pin`] and accepts only what extends it.

mod entry;
mod fingerprint;
mod names;
mod pin;
mod state;
mod verify;
mod wire;

pub use entry::{Change, CredentialKeys, Entry, EntryBody, EntryError, Possession};
pub use fingerprint::fingerprint;
pub use names::{CredentialId, EntryHash};
pub use pin::{Pin, PinError};
pub use state::{AccountState, CredentialRecord, Moment, RootRecord};
pub use verify::{LogError, LogFault, verify, verify_for};

/// The most entries a log may have. At one change a week that is 78 years.
pub const MAX_ENTRIES: usize = 4096;

/// The most bytes an entry may have: two RSA-4096 keys and signatures need about 2,400.
pub const MAX_ENTRY_SIZE: usize = 4096;
