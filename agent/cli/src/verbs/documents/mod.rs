//! `life documents`: content that the platform keeps, encrypted.

mod change;
mod download;
mod show;
mod upload;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::error::Error;

/// Stores documents on the platform, encrypted and signed, and shares them.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Delete(change::DeleteArguments),
    Download(download::Arguments),
    List(show::ListArguments),
    Share(change::ShareArguments),
    Show(show::ShowArguments),
    Unshare(change::UnshareArguments),
    Upload(upload::Arguments),
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    match arguments.action {
        Action::Delete(arguments) => change::delete(arguments, context).await,
        Action::Download(arguments) => download::run(arguments, context).await,
        Action::List(_) => show::list(context).await,
        Action::Share(arguments) => change::share(arguments, context).await,
        Action::Show(arguments) => show::show(arguments, context).await,
        Action::Unshare(arguments) => change::unshare(arguments, context).await,
        Action::Upload(arguments) => upload::run(arguments, context).await,
    }
}
