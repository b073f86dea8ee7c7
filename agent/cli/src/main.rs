//! `life`: the agent's command line.

mod args;
mod bulk;
mod connection;
mod context;
mod descriptor;
mod dev;
mod error;
mod exit;
mod files;
mod interrupt;
mod names;
mod output;
mod passphrase;
mod pump;
mod reasons;
mod terminal;
mod verbs;

use std::process::ExitCode;
use std::time::Duration;

use crate::context::Context;
use crate::error::Error;

fn main() -> ExitCode {
    life_sys::malloc::keep_large_blocks();
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
            interrupted = interrupt::wait(output) => Err(interrupted),
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
