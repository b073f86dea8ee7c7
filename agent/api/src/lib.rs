//! What a call through the agent to an HTTP API may be. Pure: no I/O; clock and random numbers are arguments.
//!
//! The agent calls in a user's name, so an app must not be able to say anything to the server that the configuration
//! does not allow, nor two servers behind each other read one request as two. That is why a request is never passed on:
//! it is read into these types, judged, and written anew.

mod allow;
pub mod fuzz_entry;
mod headers;
mod method;
mod retry;
mod target;

pub use allow::{AllowList, PatternError, Rule};
pub use headers::{HeaderError, HeaderRules};
pub use method::{has_body, is_idempotent, parse_method};
pub use retry::{Budget, backoff, is_retried_status, retry_after};
pub use target::Target;
