//! What stands on the command line.

use std::path::PathBuf;

use clap::Parser;

/// The LIFE agent: encrypts, decrypts, signs and verifies for local programs, with keys they never see.
#[derive(Debug, Parser)]
#[command(name = "life-agentd", version)]
pub struct Arguments {
    /// Read this configuration file instead of the usual one; it must exist.
    #[arg(long, value_name = "FILE", env = "LIFE_CONFIG")]
    pub config: Option<PathBuf>,
    /// Serve on this Unix socket.
    #[arg(long, value_name = "PATH", env = "LIFE_AGENT_SOCKET")]
    pub socket: Option<PathBuf>,
    /// Keep state in this folder.
    #[arg(long, value_name = "FOLDER", env = "LIFE_STATE_DIR")]
    pub state: Option<PathBuf>,
    /// Check the configuration, say what is wrong with it, and end.
    #[arg(long)]
    pub check_config: bool,
}
