//! The commands of `life-platform`, one file each.

mod ca;
mod fingerprint;
mod init;
mod registrar;
mod renew;
mod revoke;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::fs::Mode;
use rustix::process::umask;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};
use crate::error::Error;
use crate::layout::Layout;

/// The self-hostable LIFE platform: it stores ciphertext and certificates and cannot decrypt.
#[derive(Debug, Parser)]
#[command(name = "life-platform", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a new platform: both certificate authorities, keys, configuration. Prints the CA fingerprint.
    Init(init::Options),
    /// Runs the certificate authority, the only process that can issue.
    Ca(ca::Options),
    /// Prints the fingerprint that clients pin (`life register --ca-fingerprint`).
    Fingerprint(fingerprint::Options),
    /// Decides about registrations that wait for approval.
    #[command(subcommand)]
    Registrar(registrar::Command),
    /// Issues the TLS certificate anew, for other names or another 825 days.
    Renew(renew::Options),
    /// Revokes a working credential at once.
    Revoke(revoke::Options),
    /// Serves the REST interface over TLS 1.3.
    Serve(serve::Options),
}

/// The folder of the platform.
#[derive(Debug, Args)]
struct Dir {
    /// The platform's folder
    #[arg(long, env = "LIFE_PLATFORM_DIR", value_name = "DIR")]
    dir: PathBuf,
}

impl Dir {
    fn layout(&self) -> Layout {
        Layout::new(&self.dir)
    }
}

/// Runs the command given by the process's arguments.
#[must_use]
pub fn run() -> ExitCode {
    // Everything this program makes is private to its account from the first moment.
    umask(Mode::from_raw_mode(0o077));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let done = match cli.command {
        Command::Init(options) => init::run(&options),
        Command::Ca(options) => ca::run(&options),
        Command::Fingerprint(options) => fingerprint::run(&options),
        Command::Registrar(command) => registrar::run(&command),
        Command::Renew(options) => renew::run(&options),
        Command::Revoke(options) => revoke::run(&options),
        Command::Serve(options) => serve::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = crate::output::complaint(&format!("life-platform: {error}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// The code of sysexits that fits.
fn exit_code(error: &Error) -> u8 {
    match error {
        Error::CaUnavailable(_) => 69,
        Error::CaRefused(_) | Error::Stored(_) => 65,
        Error::Certificate(_) => 70,
        Error::Config(_) => 78,
        Error::Database(_) | Error::Io { .. } => 74,
    }
}

/// Sends log lines to standard error, as the configuration says; `LIFE_LOG` overrides the level.
fn start_log(log: &Log) -> Result<(), Error> {
    let level = std::env::var("LIFE_LOG").unwrap_or_else(|_| log.level.clone());
    let filter = EnvFilter::try_new(level).map_err(|_| {
        Error::Config("log.level or LIFE_LOG is no filter; write for example \"info\"".to_owned())
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match log.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_ansi(false).try_init(),
    };
    started.map_err(|_| Error::Config("logging was started twice".to_owned()))
}
