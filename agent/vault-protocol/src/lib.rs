//! The messages between broker and vault, and the table of what is allowed when.
//!
//! The two processes talk over one socket pair. A frame is `u32be length | u64be request id | body`; the body is a
//! [`Request`] one way and a [`Response`] the other. Several requests may be in flight; answers carry the id of
//! their request and come in any order. A request whose secret comes through descriptors brings them by
//! `SCM_RIGHTS` on the first bytes of its frame ([`Request::descriptors`] says how many).
//!
//! The vault writes an answer before it reads on, so the broker must go on reading while it writes. A request takes
//! effect when it is answered; only this order is kept: what was read before a LockAll, LockUser or CancelSecret does
//! not get past it.
//!
//! No request has the id 0. A vault that cannot start sends one answer with that id, the error why, and ends.
//!
//! Each side treats the other as hostile: lengths are capped before anything is allocated, and a body with a
//! trailing byte, an unknown number or an over-long field is refused as a whole. The crate is pure: it does no I/O,
//! so that the broker can use it with an asynchronous socket and the vault with a plain one.

pub mod cards;
mod codec;
mod entries;
pub mod error;
pub mod frame;
pub mod fuzz_entry;
mod memory;
mod protection;
pub mod request;
mod request_codec;
pub mod response;
pub mod table;

pub use entries::Entries;
pub use error::VaultError;
pub use frame::{Frame, FrameDecoder, FrameError, encode_request, encode_response};
pub use memory::MemoryUse;
pub use request::{
    Entry, NewSecretSource, PendingId, Prompt, Request, RequestKind, SecretSource, SessionId,
    WorkingKeyAlgorithm,
};
pub use response::Response;
pub use table::{State, TABLE};
