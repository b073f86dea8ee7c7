//! The log: to standard error, never with a secret.
//!
//! What is logged is the kind of a request, the handle it names, the outcome and how long it took; no bytes of any
//! message, and of a panic only the place. `LIFE_LOG` filters it.

use std::time::Instant;

use life_vault_protocol::{RequestKind, Response};
use tracing_subscriber::EnvFilter;

/// Starts logging. Without `LIFE_LOG`, everything but the quick requests is logged.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("LIFE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    // A panic's message may quote data.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| (place.file(), place.line()));
        tracing::error!(?place, "an operation panicked");
    }));
}

/// Logs one request that was answered.
pub(crate) fn answered(kind: RequestKind, handle: Option<u64>, response: &Response, since: Instant) {
    let micros = since.elapsed().as_micros();
    let request = kind.name();
    let handle = handle.unwrap_or_default();
    match response {
        Response::Error(error) => tracing::info!(request, handle, micros, %error, "refused"),
        _ if is_quick(kind) => tracing::debug!(request, handle, micros, "done"),
        _ => tracing::info!(request, handle, micros, "done"),
    }
}

fn is_quick(kind: RequestKind) -> bool {
    matches!(
        kind,
        RequestKind::Mac
            | RequestKind::SignAttributes
            | RequestKind::SignTls
            | RequestKind::Status
            | RequestKind::UnwrapContentKey
    )
}
