//! Ctrl-C, and requests to end.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::error::Error;
use crate::output::Output;

/// How many parts of the program must not be interrupted.
static SHIELDS: AtomicUsize = AtomicUsize::new(0);

/// While this lives the first Ctrl-C only warns: what runs has an effect that is lost when it is left half done.
pub struct Shield(());

impl Shield {
    /// Puts off interruptions.
    pub fn new() -> Self {
        SHIELDS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Shield {
    fn drop(&mut self) {
        SHIELDS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits for Ctrl-C or a request to end; for a second one where the first is put off by a [`Shield`].
pub async fn wait(output: Output) -> Error {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
    let mut signals = Vec::new();
    for kind in kinds {
        match signal(kind) {
            Ok(signal) => signals.push(signal),
            Err(error) => return Error::Software(error.to_string()),
        }
    }
    let mut warned = false;
    loop {
        let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(waits).await;
        if warned || SHIELDS.load(Ordering::SeqCst) == 0 {
            return Error::Interrupted;
        }
        warned = true;
        output.warn(
            "INTERRUPT_DELAYED",
            "finishing first, because what has begun cannot be taken back; once more to end at once and lose it",
        );
    }
}
