//! `life-platform registrar`: who is let in, where somebody has to decide.

use clap::{Args, Subcommand};
use life_pki::{Timestamp, Uid};
use serde_json::json;

use super::Dir;
use crate::clock::Clock;
use crate::config::Config;
use crate::error::Error;
use crate::output;
use crate::store::Database;
use crate::store::registrations::{self, State};

/// Commands of a registrar.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lets a registration go on
    Approve(Decision),
    /// Lists what waits for a decision
    List(List),
    /// Ends a registration
    Refuse(Decision),
}

#[derive(Debug, Args)]
pub(super) struct Decision {
    #[command(flatten)]
    dir: Dir,
    /// The user id of the registration
    uid: Uid,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    dir: Dir,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &Command) -> Result<(), Error> {
    match command {
        Command::Approve(decision) => decide(decision, State::Open),
        Command::List(options) => list(options),
        Command::Refuse(decision) => decide(decision, State::Refused),
    }
}

fn list(options: &List) -> Result<(), Error> {
    let database = Database::open(&options.dir.layout().database())?;
    let now = Clock::system().now();
    for registration in database.read(|connection| registrations::pending(connection, now))? {
        let text = if options.json {
            let row = json!({
                "uid": registration.uid.to_string(),
                "kind": registration.kind.name(),
                "begin_time": registration.created.to_string(),
                "expire_time": registration.expires.to_string(),
            });
            row.to_string()
        } else {
            format!("{}  {}  {}", registration.uid, registration.created, registration.kind)
        };
        output::line(&text)?;
    }
    Ok(())
}

fn decide(decision: &Decision, state: State) -> Result<(), Error> {
    let layout = decision.dir.layout();
    let config = Config::load(&layout.config())?;
    let now = Clock::system().now();
    Database::open(&layout.database())?.write(|tx| {
        let found = registrations::find_by_uid(tx, decision.uid)?;
        let waiting = found.filter(|found| found.state == State::PendingApproval && found.is_alive(now));
        let registration = waiting.ok_or_else(|| {
            Error::Config("no registration of this user id waits for a decision".to_owned())
        })?;
        registrations::set_state(tx, &registration.id, state, until(now, registration.expires, &config))
    })
}

/// An approved registration has at least the usual time left, from now.
fn until(now: Timestamp, expires: Timestamp, config: &Config) -> Timestamp {
    let usual = now.plus(u32::try_from(config.timeouts.registration).unwrap_or(u32::MAX));
    expires.max(usual)
}
