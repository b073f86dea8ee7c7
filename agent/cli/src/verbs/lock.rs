//! `life lock`: locking at once.

use clap::Args;
use life_proto::v1;
use serde::Serialize;

use crate::context::Context;
use crate::error::Error;
use crate::names::UserName;
use crate::output::Report;

/// Locks one user, or everybody, at once.
///
/// Keys are wiped, connections closed, running work ends. Without a user on the command line everybody is locked,
/// whatever LIFE_USER says. Locking what is locked already succeeds.
#[derive(Args, Debug)]
#[command(after_long_help = "JSON: {\"user\" or null, \"locked_count\"}")]
pub struct Arguments {
    /// Whom to lock; --as says the same; everybody when neither is given
    #[arg(value_name = "UID")]
    target: Option<UserName>,
}

#[derive(Serialize)]
struct Locked {
    user: Option<UserName>,
    locked_count: u32,
}

/// Runs the verb.
pub async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let target = match (&arguments.target, context.named_user()) {
        (Some(one), Some(other)) if one != other => {
            return Err(Error::Usage("two users are named: say one, either alone or by --as".into()));
        }
        (one, other) => one.as_ref().or(other),
    };
    let connection = context.connect().await?;
    let locked_count = match target {
        Some(user) => {
            let request = v1::LockCredentialRequest { user: user.name() };
            connection.credentials().lock(request).await?.into_inner().was_unlocked.into()
        }
        None => connection.agent().lock(v1::LockRequest {}).await?.into_inner().locked_count,
    };
    context.output.answer(&Locked { user: target.cloned(), locked_count })
}

impl Report for Locked {
    fn text(&self) -> String {
        match self.locked_count {
            0 => "nothing was unlocked\n".into(),
            1 => "locked 1 user\n".into(),
            count => format!("locked {count} users\n"),
        }
    }
}
