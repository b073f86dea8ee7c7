//! Ctrl-C, and requests to end.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;

/// Waits for Ctrl-C or a request to end.
pub async fn wait() -> Error {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut signals = Vec::new();
    for kind in kinds {
        match signal(kind) {
            Ok(signal) => signals.push(signal),
            Err(error) => return Error::Software(error.to_string()),
        }
    }
    let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures_util::future::select_all(waits).await;
    Error::Interrupted
}
