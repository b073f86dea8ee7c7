//! `life-platform serve`

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Dir, start_log};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, io};
use crate::http::{maintenance, routes, server, state::App, tls};
use crate::layout::Layout;
use crate::output;

/// Options of `serve`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    dir: Dir,
    /// Listen here instead of where the configuration says; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Check the configuration, keys and certificates, and exit
    #[arg(long)]
    check_config: bool,
}

pub(super) fn run(options: &Options) -> Result<(), Error> {
    let layout = options.dir.layout();
    let mut config = Config::load(&layout.config())?;
    if let Some(listen) = options.listen {
        config.listen = listen;
    }
    let tls = tls::config(&layout)?;
    if options.check_config {
        return output::line("the configuration is good");
    }
    start_log(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(io("cannot start the runtime"))?;
    runtime.block_on(serve(&layout, config, tls))
}

/// Listens, says where, serves, and drains at SIGTERM or SIGINT.
async fn serve(layout: &Layout, config: Config, tls: rustls::ServerConfig) -> Result<(), Error> {
    let mut terminate = signal(SignalKind::terminate()).map_err(io("cannot watch for SIGTERM"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io("cannot watch for SIGINT"))?;
    let listener = TcpListener::bind(config.listen).await.map_err(io("cannot listen"))?;
    let address = listener.local_addr().map_err(io("cannot listen"))?;
    let app = App::open(layout, config.clone(), Clock::system())?;
    let (stop, stopping) = watch::channel(false);
    let maintained = tokio::spawn(maintenance::run(Arc::clone(&app), stopping.clone()));
    output::line(&json!({ "listening": address }).to_string())?;
    tracing::info!(%address, "listening");
    let served = tokio::spawn(server::run(listener, Arc::new(tls), routes::router(&app), config, stopping));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining");
    let _ = stop.send(true);
    let _ = tokio::join!(served, maintained);
    Ok(())
}
