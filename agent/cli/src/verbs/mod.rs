//! What `life` does: one file for each verb.

pub mod api;
pub mod cards;
pub mod completions;
mod content;
pub mod decrypt;
pub mod dev;
pub mod documents;
pub mod encrypt;
pub mod events;
pub mod inbox;
pub mod lock;
pub mod man;
mod new_passphrase;
mod pages;
pub mod register;
mod rescue;
pub mod send;
pub mod share;
pub mod sign;
pub mod status;
pub mod unlock;
pub mod user;
pub mod verify;

use crate::args::Command;
use crate::context::Context;
use crate::error::Error;

/// Runs a verb.
pub async fn run(command: Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::Api(arguments) => api::run(arguments, context).await,
        Command::Cards(arguments) => cards::run(&arguments, context).await,
        Command::Completions(arguments) => completions::run(&arguments, context),
        Command::Decrypt(arguments) => decrypt::run(arguments, context).await,
        Command::Dev(arguments) => dev::run(arguments, context).await,
        Command::Documents(arguments) => documents::run(arguments, context).await,
        Command::Encrypt(arguments) => encrypt::run(arguments, context).await,
        Command::Events(arguments) => events::run(&arguments, context).await,
        Command::Inbox(arguments) => inbox::run(arguments, context).await,
        Command::Lock(arguments) => lock::run(&arguments, context).await,
        Command::Man(arguments) => man::run(&arguments, context),
        Command::Register(arguments) => register::run(arguments, context).await,
        Command::Send(arguments) => send::run(arguments, context).await,
        Command::Share(arguments) => share::run(arguments, context).await,
        Command::Sign(arguments) => sign::run(arguments, context).await,
        Command::Status(arguments) => status::run(&arguments, context).await,
        Command::Unlock(arguments) => unlock::run(arguments, context).await,
        Command::User(arguments) => user::run(arguments, context).await,
        Command::Verify(arguments) => verify::run(arguments, context).await,
    }
}
