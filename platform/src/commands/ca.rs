//! `life-platform ca`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Dir, start_log};
use crate::authority::service::{Authority, bind, serve};
use crate::clock::Clock;
use crate::config::CaConfig;
use crate::error::Error;
use crate::output;

/// Options of `ca`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    dir: Dir,
    /// Listen on this socket instead of the one in the platform's folder
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Check the configuration and the keys, and exit
    #[arg(long)]
    check_config: bool,
}

/// Serves until a signal ends the process: every answer was durable before it was given.
pub(super) fn run(options: &Options) -> Result<(), Error> {
    let layout = options.dir.layout();
    let config = CaConfig::load(&layout.ca_config())?;
    let access = config.socket_access;
    if !options.check_config {
        start_log(&config.log)?;
    }
    let authority = Authority::open(&layout, config, Clock::system())?;
    if options.check_config {
        return output::line("the configuration is good");
    }
    let socket = options.socket.clone().unwrap_or_else(|| layout.ca_socket());
    let listener = bind(&socket, access)?;
    output::line(&json!({ "socket": socket }).to_string())?;
    serve(&listener, authority);
    Ok(())
}
