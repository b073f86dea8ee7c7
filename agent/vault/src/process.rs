//! The life of the process, from start to exit.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use life_sys::hardening::{Children, close_inherited, die_with_parent, harden, leave_signals_to_parent};
use life_sys::peer::credentials;
use life_sys::sandbox::SandboxError;
use life_sys::scratch::Protection;
use life_sys::{arena, aws_lc, malloc};
use life_vault_protocol::{Response, VaultError, encode_response};

use crate::confinement::Sandbox;
use crate::server::{ServeError, serve};

/// The least memory that deriving a key from what a person chose should take.
const SCRATCH: usize = 64 << 20;

/// Why the vault does not start, or ends before the broker does.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Arguments that the broker does not give.
    #[error("the only argument is --require-sandbox")]
    Arguments,
    /// The process could not be hardened.
    #[error("hardening failed: {0}")]
    Hardening(io::Error),
    /// The process's memory could not be locked.
    #[error("memory for keys could not be locked: {0}; RLIMIT_MEMLOCK has to be at least 8 MiB")]
    Memory(io::Error),
    /// Standard input is not one end of a socket pair that the parent process made.
    #[error("standard input is not the broker's socket: the vault is started by life-agentd")]
    NotStartedByBroker,
    /// The random number generator failed.
    #[error("the random number generator failed")]
    Random,
    /// The process could not be confined.
    #[error("the sandbox failed: {0}")]
    Sandbox(#[from] SandboxError),
    /// The broker broke the protocol, or the socket failed.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The kernel lacks something, and the configuration asks for all.
    #[error("this kernel lacks {0}, and sandbox.required asks for it")]
    Unprotected(String),
}

/// Where the process has its secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// In the arena, which is the process's global allocator and AWS-LC's, and on locked stacks; all of it is wiped.
    Locked,
    /// Wherever allocator and threads put them, and nothing is wiped but what its type wipes. No program that is
    /// installed has this: it is what tests compare with, to see that they would find what they look for.
    Plain,
}

/// Runs the whole process. The exit code follows sysexits: 0 when the broker went, 64 when started by hand, 71 when
/// the system refused something, 76 when the broker broke the protocol, 78 when it may not lock enough memory or the
/// kernel lacks a part of the sandbox that is required.
#[must_use]
pub fn run(memory: Memory) -> ExitCode {
    crate::log::start();
    match start(memory) {
        Ok(()) => {
            tracing::info!("the broker has gone");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "the vault ends");
            ExitCode::from(code(&error))
        }
    }
}

fn code(error: &ProcessError) -> u8 {
    match error {
        ProcessError::Arguments | ProcessError::NotStartedByBroker => 64,
        ProcessError::Hardening(_)
        | ProcessError::Random
        | ProcessError::Sandbox(_)
        | ProcessError::Serve(ServeError::Io(_) | ServeError::Random) => 71,
        ProcessError::Serve(_) => 76,
        ProcessError::Memory(_) | ProcessError::Unprotected(_) => 78,
    }
}

/// Ends the process where one of its threads cannot work: the others, who wait for the broker, would go on as half a vault.
#[expect(clippy::disallowed_methods, reason = "the keys go with the process, as they should")]
pub(crate) fn end(error: ServeError) -> ! {
    let error = ProcessError::Serve(error);
    tracing::error!(%error, "the vault ends");
    std::process::exit(code(&error).into())
}

fn start(memory: Memory) -> Result<(), ProcessError> {
    malloc::keep_few_heaps();
    // Nothing but standard input, output and error is meant for it.
    close_inherited(3).map_err(ProcessError::Hardening)?;
    leave_signals_to_parent();
    harden(Children::Bound).map_err(ProcessError::Hardening)?;
    let socket = take_socket().map_err(|_| ProcessError::NotStartedByBroker)?;
    let sandbox = Sandbox::asked_for()?;
    let refusal = socket.try_clone().map_err(ServeError::Io)?;
    lock(memory)
        .and_then(|()| serve(socket, memory, Protection::available(SCRATCH).ok(), sandbox))
        .inspect_err(|error| {
            if matches!(error, ProcessError::Memory(_)) {
                refuse(refusal);
            }
        })
}

/// Locks the arena and has AWS-LC use it: there is no secret yet.
fn lock(memory: Memory) -> Result<(), ProcessError> {
    if memory == Memory::Locked {
        aws_lc::use_arena().map_err(|error| ProcessError::Memory(io::Error::other(error)))?;
        arena::lock().map_err(ProcessError::Memory)?;
    }
    Ok(())
}

/// Tells the broker why there will be no vault, in an answer to nothing: no request has the number 0.
fn refuse(mut broker: UnixStream) {
    if let Ok(frame) = encode_response(0, &Response::Error(VaultError::MemoryNotLocked)) {
        // EXPOSE: it says nothing but that. When the broker has gone nobody needs it.
        let _ = broker.write_all(frame.expose());
    }
}

/// Takes the socket from standard input and ties this process's life to the broker's.
fn take_socket() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    die_with_parent(credentials(&socket)?.pid)?;
    Ok(socket)
}
