//! The life of the process, from start to exit.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use life_sys::hardening::{die_with_parent, harden};
use life_sys::peer::credentials;

use crate::server::{ServeError, serve};

/// Why the vault does not start, or ends before the broker does.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The process could not be hardened.
    #[error("hardening failed: {0}")]
    Hardening(io::Error),
    /// Standard input is not one end of a socket pair that the parent process made.
    #[error("standard input is not the broker's socket: the vault is started by life-agentd")]
    NotStartedByBroker,
    /// The random number generator failed.
    #[error("the random number generator failed")]
    Random,
    /// The broker broke the protocol, or the socket failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Runs the whole process. The exit code follows sysexits: 0 when the broker went, 64 when started by hand, 71 when
/// the system refused something, 76 when the broker broke the protocol.
#[must_use]
pub fn run() -> ExitCode {
    crate::log::start();
    match start() {
        Ok(()) => {
            tracing::info!("the broker has gone");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "the vault ends");
            ExitCode::from(match error {
                ProcessError::NotStartedByBroker => 64,
                ProcessError::Hardening(_)
                | ProcessError::Random
                | ProcessError::Serve(ServeError::Io(_)) => 71,
                ProcessError::Serve(_) => 76,
            })
        }
    }
}

fn start() -> Result<(), ProcessError> {
    harden().map_err(ProcessError::Hardening)?;
    let socket = take_socket().map_err(|_| ProcessError::NotStartedByBroker)?;
    // AWS-LC seeds itself on first use, which would otherwise be somebody's first signature.
    aws_lc_rs::rand::fill(&mut [0; 32]).map_err(|_| ProcessError::Random)?;
    // Locked memory and the sandbox go here, before the first thread.
    tracing::info!(pid = std::process::id(), "the vault is ready");
    Ok(serve(socket)?)
}

/// Takes the socket from standard input and ties this process's life to the broker's.
fn take_socket() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    die_with_parent(credentials(&socket)?.pid)?;
    Ok(socket)
}
