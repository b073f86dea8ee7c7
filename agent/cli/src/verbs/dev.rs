//! `life dev`: a set-up for people who write apps.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::register::Kind;
use crate::context::Context;
use crate::dev::{self, Layout, Running, Summary};
use crate::error::Error;
use crate::interrupt;
use crate::output::Report;

/// Runs a throwaway platform, agent and users, for people who write apps.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Down(DownArguments),
    Up(UpArguments),
}

/// Starts a platform and an agent, registers users and unlocks them.
///
/// DIR gets: `env` for a shell to source (LIFE_AGENT_SOCKET and the user ids), `ca.pem` (the user CA, root and
/// issuing), and for each user `users/KIND/uid`, `software-certificate.p12` (RSA-3072, one entry a key slot) and
/// `passphrase`; the platform's and the agent's files and logs beside. Everything listens on this machine only.
///
/// Stays until Ctrl-C, unless detached; then `life dev down` ends it. The files stay in either case: `life dev down
/// --remove` takes them away.
#[derive(Args, Debug)]
#[command(after_long_help = "\
Prints, always as JSON: {\"dir\",\"env\",\"socket\",\"platform\",\"ca_fingerprint\",\"ca_file\",\"environment\",\
\"users\":{KIND:{\"uid\",\"user\",
  \"software_certificate\",\"passphrase_file\"}},\"processes\":{NAME:PID}}.")]
struct UpArguments {
    /// The folder, which must be empty or missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Whom to register, by commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "patient,institution,professional",
        value_name = "KIND"
    )]
    users: Vec<Kind>,
    /// Leave it running and return
    #[arg(long)]
    detach: bool,
}

/// Ends what `up` started, and waits for it. Ends no other process; succeeds when nothing runs.
///
/// Believes the folder's dev.json only where nobody else can have written it, and touches no process, file or folder
/// that `up` does not make.
#[derive(Args, Debug)]
#[command(after_long_help = "JSON: {\"dir\",\"ended_processes\",\"removed\"}")]
struct DownArguments {
    /// The folder that `up` was given
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Remove the files too
    #[arg(long)]
    remove: bool,
}

#[derive(Serialize)]
struct Ended {
    dir: PathBuf,
    ended_processes: usize,
    removed: bool,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    match arguments.action {
        Action::Down(arguments) => down(arguments, context).await,
        Action::Up(arguments) => up(arguments, context).await,
    }
}

async fn up(arguments: UpArguments, context: &Context) -> Result<(), Error> {
    let repeated = arguments.users.iter().enumerate().any(|(i, kind)| arguments.users[..i].contains(kind));
    if repeated {
        return Err(Error::Usage("each kind of user can be registered once".into()));
    }
    let layout = Layout::create(&arguments.dir)?;
    context.output.note("starting a platform and an agent, and making keys: this takes some seconds");
    let running = dev::start(&layout, &arguments.users).await?;
    if arguments.detach {
        context.output.answer(&running.summary)?;
        context.output.note(&format!("everything runs; now: . {}", running.summary.env.display()));
        return Ok(());
    }
    stay(&layout, running, context).await
}

/// Stays until interrupted, which is how this is meant to end, or until a process ends by itself; then ends everything.
async fn stay(layout: &Layout, mut running: Running, context: &Context) -> Result<(), Error> {
    let guard = Stop(layout);
    context.output.answer(&running.summary)?;
    context.output.note(&format!("in another shell: . {}", running.summary.env.display()));
    context.output.note("Ctrl-C ends everything");
    let failed = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(250));
        loop {
            ticks.tick().await;
            if let Some(error) = running.processes.iter_mut().find_map(|process| process.ended()) {
                return error;
            }
        }
    };
    let failure = tokio::select! {
        _interrupted = interrupt::wait(context.output) => None,
        error = failed => Some(error),
    };
    drop(guard);
    let ended = dev::stop(layout);
    failure.map_or(ended.map(|_none_is_left| ()), Err)
}

/// Ends everything, however this is left.
struct Stop<'a>(&'a Layout);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        let _told_by_the_next = dev::stop(self.0);
    }
}

async fn down(arguments: DownArguments, context: &Context) -> Result<(), Error> {
    let layout = Layout::existing(&arguments.dir);
    let dir = layout.root().to_owned();
    let stop = if arguments.remove { dev::remove } else { dev::stop };
    let ended = spawn_blocking(move || stop(&layout)).await;
    let ended_processes = ended.map_err(|error| Error::Software(error.to_string()))??;
    context.output.answer(&Ended { dir, ended_processes, removed: arguments.remove })
}

impl Report for Summary {
    fn text(&self) -> String {
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }
}

impl Report for Ended {
    fn text(&self) -> String {
        match self.ended_processes {
            0 => "nothing was running\n".into(),
            count => format!("ended {count} processes\n"),
        }
    }
}
