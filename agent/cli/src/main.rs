//! `life`: the agent's command line.

mod args;
mod connection;
mod context;
mod descriptor;
mod dev;
mod error;
mod exit;
mod files;
mod names;
mod output;
mod passphrase;
mod pump;
mod reasons;
mod verbs;

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::context::Context;
use crate::error::Error;

fn main() -> ExitCode {
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(ended) => return ended,
    };
    let output = cli.global.output();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::Software(error.to_string());
            output.failure(&error);
            return error.exit().into();
        }
    };
    let result = runtime.block_on(async {
        let context = Context::new(cli.global)?;
        tokio::select! {
            biased;
            result = verbs::run(cli.command, &context) => result,
            interrupted = interruption() => Err(interrupted),
        }
    });
    // Threads that write staged files clean up; one that waits for a terminal or a pipe is left behind.
    runtime.shutdown_timeout(Duration::from_millis(500));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.failure(&error);
            error.exit().into()
        }
    }
}

/// Waits for Ctrl-C or a request to end.
async fn interruption() -> Error {
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
