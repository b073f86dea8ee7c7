//! The broker: gRPC for apps, the platform's client, the vault's keeper.

mod activation;
mod agent;
mod arguments;
mod cards;
mod clock;
mod config;
mod confinement;
mod connections;
mod directory;
mod engine;
mod enrolments;
mod error;
mod events;
mod given_up;
mod identities;
mod length_first;
mod logging;
mod names;
mod paths;
mod platform;
mod policy;
mod prompt;
mod protection;
mod quiet;
mod registration;
mod secrets;
mod server;
mod service_manager;
mod services;
mod short_frames;
mod socket;
mod start;
mod tickets;
mod unlock;
mod unlockings;
mod upstream;
mod vault;
mod weight;

use std::process::ExitCode;

use clap::Parser;
use life_sys::wiping_allocator::WipingAllocator;

use arguments::Arguments;
use start::StartError;

fn main() -> ExitCode {
    life_sys::malloc::keep_large_blocks();
    let arguments = Arguments::parse();
    run(&arguments).map_or_else(|error| error.report(), |()| ExitCode::SUCCESS)
}

/// A passphrase that comes inline passes through buffers of crates that do not wipe them; so does content.
#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator::new();

/// Hardens the process, reads the configuration, confines the process, starts the vault, listens, serves and drains.
fn run(arguments: &Arguments) -> Result<(), StartError> {
    start::harden()?;
    let config = start::configure(arguments)?;
    start::protect(&config)?;
    if arguments.check_config {
        return Ok(());
    }
    // While this thread is the only one: it changes the environment.
    let activation = activation::Activation::take()?;
    let paths = start::folders(arguments, &config, &activation)?;
    let confined = confinement::Confined::enter(&config, &paths)?;
    let runtime = start::runtime()?;
    let keeper = vault::Keeper::new(paths.vault.clone(), config.sandbox, config.cards.service.clone());
    let (sockets, agent) = {
        let _inside = runtime.enter();
        (start::listen(&paths, activation)?, agent::Agent::new(arguments, config, paths, confined)?)
    };

    let (orders, ordered) = std::sync::mpsc::channel();
    let (tell, fresh) = tokio::sync::mpsc::channel(1);
    let serving = runtime.spawn(server::serve(agent, sockets, fresh, orders));
    // The vault's death signal follows the thread that started it: this one, which outlives all others.
    let kept = keeper.run(&ordered, |vault| tell.blocking_send(vault).is_ok()).map_err(StartError::Vault);
    let served = kept
        .and_then(|()| runtime.block_on(serving).map_err(StartError::internal)?.map_err(StartError::Serve));
    // Work that blocks must not hold up the end.
    runtime.shutdown_timeout(start::LINGER);
    served
}
