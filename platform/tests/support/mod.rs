//! A platform of real processes, an HTTPS client, and users who act as an agent would.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

pub mod agent;
pub mod client;
pub mod content;
pub mod documents;
pub mod platform;
pub mod schema;

pub use agent::{Agent, Draft};
pub use client::{Client, Reply};
pub use platform::{Options, Platform};
