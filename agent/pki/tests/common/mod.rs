//! What several tests need: an author of account logs, and a certification authority.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod author;
pub mod authority;
pub mod openssl;
pub mod respell;
pub mod vectors;
