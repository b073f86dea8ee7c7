//! A platform of real processes, an HTTPS client, and users who act as an agent would.
#![allow(dead_code, unused_imports, reason = "each test binary uses its part")]

pub mod agent;
pub mod client;
pub mod content;
pub mod credential;
pub mod documents;
pub mod platform;
pub mod schema;

pub use agent::{Agent, Draft};
pub use client::{Client, Reply};
pub use platform::{Options, Platform};

/// Waits until something holds.
pub async fn until(mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if condition().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("it did not come to be true");
}
