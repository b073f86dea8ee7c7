//! `life-platform init`

use std::net::SocketAddr;

use clap::Args;
use serde_json::json;

use super::Dir;
use crate::authority::setup;
use crate::clock::Clock;
use crate::config::{Approval, Config};
use crate::error::Error;
use crate::output;

/// Options of `init`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    dir: Dir,
    /// Host names and addresses for the TLS certificate
    #[arg(long = "name", value_name = "HOST", num_args = 1.., default_values = ["localhost", "127.0.0.1", "::1"])]
    names: Vec<String>,
    /// Address and port `serve` is to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Who lets institutions and professionals in
    #[arg(long, value_enum, default_value = "registrar")]
    approval: Approval,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(options: &Options) -> Result<(), Error> {
    let layout = options.dir.layout();
    let config = Config { listen: options.listen, approval: options.approval, ..Config::default() };
    let fingerprint = hex::encode(setup::init(&layout, &options.names, &config, Clock::system().now())?);
    if options.json {
        let text = json!({
            "dir": layout.root(),
            "ca_fingerprint": fingerprint,
            "listen": config.listen,
        });
        return output::line(&text.to_string());
    }
    output::line(&format!("CA fingerprint: {fingerprint}"))
}
