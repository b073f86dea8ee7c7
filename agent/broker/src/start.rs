//! The steps before serving, and what can go wrong in them.

use std::io;
use std::process::ExitCode;

use life_sys::hardening::{Children, Hardening};
use tokio::runtime::Runtime;

use crate::activation::{Activation, Handed};
use crate::arguments::Arguments;
use crate::config::{Config, ConfigError};
use crate::error::Error;
use crate::logging;
use crate::paths::{Paths, PathsError, usual_config};
use crate::server::Sockets;
use crate::socket::{Socket, SocketError};

/// How long work that blocks may hold up the end of the process.
pub const LINGER: std::time::Duration = std::time::Duration::from_secs(2);

/// Why the agent did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The agent's own records.
    #[error(transparent)]
    Agent(#[from] Error),
    /// The configuration.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// A folder.
    #[error("{0}: {1}")]
    Folder(std::path::PathBuf, life_sys::private_dir::PrivateDirError),
    /// The system.
    #[error("the system refused: {0}")]
    Io(#[from] io::Error),
    /// No place for something.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// The transport.
    #[error("serving failed: {0}")]
    Serve(Box<dyn std::error::Error + Send + Sync>),
    /// A socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The kernel lacks a part of the sandbox that the configuration asks for.
    #[error("this kernel lacks {0}, and sandbox.required asks for it; use a newer kernel or do without")]
    Unprotected(String),
    /// The vault.
    #[error("the vault does not start: {0}")]
    Vault(io::Error),
}

impl StartError {
    /// A fault of our own.
    pub fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Serve(Box::new(error))
    }

    /// Logs it, and gives the exit code, as in sysexits.
    pub fn report(&self) -> ExitCode {
        // Where the log did not start before the fault.
        logging::start(&crate::config::Log::default());
        tracing::error!("{self}");
        ExitCode::from(match self {
            Self::Config(_) | Self::Paths(_) | Self::Unprotected(_) => 78,
            Self::Folder(..) | Self::Socket(SocketError::Folder(..) | SocketError::NotASocket(_)) => 73,
            Self::Socket(SocketError::TooLong(..) | SocketError::Handed(..)) => 78,
            Self::Socket(SocketError::InUse(_)) => 69,
            Self::Agent(_) | Self::Io(_) | Self::Serve(_) | Self::Socket(_) => 70,
            Self::Vault(_) => 69,
        })
    }
}

/// Forbids dumps and debuggers; from here on everything that is made is the user's own.
///
/// # Errors
/// What the system says.
pub fn harden() -> Result<(), StartError> {
    Ok(life_sys::hardening::harden(Children::Free)?)
}

/// Reads the configuration and starts the log.
///
/// # Errors
/// [`ConfigError`].
pub fn configure(arguments: &Arguments) -> Result<Config, StartError> {
    let config = Config::load(arguments.config.as_deref(), usual_config().as_deref());
    logging::start(config.as_ref().map_or(&Default::default(), |config| &config.log));
    if life_sys::hardening::is_open_to_its_user() {
        tracing::warn!(
            "other programs of this user may read this process: it runs in a user namespace of theirs, and its program is not root's with mode 0711"
        );
    }
    Ok(config?)
}

/// Looks whether the kernel has all that protects the processes, where the configuration asks for it.
///
/// # Errors
/// [`StartError::Unprotected`].
pub fn protect(config: &Config) -> Result<(), StartError> {
    let mut missing = Hardening::of_this_process().missing();
    missing.extend(life_sys::sandbox::kernel_lacks(config.cards.service.is_some()));
    if config.sandbox.required && !missing.is_empty() {
        return Err(StartError::Unprotected(missing.join(", ")));
    }
    Ok(())
}

/// Finds the places, and makes the folders of the agent's state. A socket that was handed over is where it is, whatever
/// else names one.
///
/// # Errors
/// [`StartError::Folder`] for one that others may enter.
pub fn folders(arguments: &Arguments, config: &Config, activation: &Activation) -> Result<Paths, StartError> {
    let mut paths = Paths::find(arguments, config)?;
    if let Some(handed) = &activation.agent {
        tracing::info!(socket = %handed.path.display(), "the service manager handed the socket over");
        paths.serve_at(handed.path.clone())?;
    }
    let (pins, registrations) = (paths.state.join("pins"), paths.state.join("registrations"));
    for folder in [&paths.state, &paths.spool, &paths.uploads, &pins, &registrations] {
        life_sys::private_dir::create_private_dir(folder)
            .map_err(|error| StartError::Folder(folder.clone(), error))?;
    }
    if let Err(error) = crate::engine::sweep_uploads(&paths.uploads) {
        tracing::warn!(%error, "old journals of uploads cannot be removed");
    }
    Ok(paths)
}

/// The runtime: one I/O worker, because two of them halve the throughput of streams on two cores; its thread may block.
///
/// # Errors
/// What the system says.
pub fn runtime() -> Result<Runtime, StartError> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("io")
        .enable_all()
        .build()?)
}

/// Binds both sockets, where they were not handed over.
///
/// # Errors
/// [`SocketError`].
pub fn listen(paths: &Paths, activation: Activation) -> Result<Sockets, StartError> {
    let socket = |handed: Option<Handed>, path| match handed {
        Some(handed) => Socket::adopt(handed),
        None => Socket::bind(path),
    };
    let agent = socket(activation.agent, &paths.socket)?;
    let descriptors = socket(activation.descriptors, &paths.descriptor_socket)?;
    Ok(Sockets { agent, descriptors })
}
