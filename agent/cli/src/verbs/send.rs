//! `life send`: into a user's inbox.

use std::path::PathBuf;

use clap::Args;
use life_proto::v1;
use life_proto::v1::send_request::Message as Sent;
use serde::Serialize;

use crate::context::Context;
use crate::error::Error;
use crate::files::Input;
use crate::names::{MessageId, UserName};
use crate::output::{Report, escape_line, time_or_none};
use crate::pump;

/// Sends a file to a user's inbox on the platform, encrypted and signed.
#[derive(Args, Debug)]
#[command(after_long_help = "JSON: {\"message_id\",\"recipient\",\"plaintext_size\",\"deposit_time\"}")]
pub struct Arguments {
    /// To whom
    #[arg(value_name = "UID")]
    recipient: UserName,
    /// What to send; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The message's id, a UUID: sending the same id again deposits nothing new [default: a new one]
    #[arg(long, value_name = "UUID")]
    message_id: Option<MessageId>,
}

#[derive(Serialize)]
struct Deposited {
    message_id: String,
    recipient: UserName,
    plaintext_size: u64,
    deposit_time: Option<String>,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let input = Input::open(&arguments.file).await?;
    let connection = context.connect().await?;
    let progress = context.output.progress("sending", input.size());
    let header = v1::SendHeader {
        user: context.user(),
        recipient: arguments.recipient.name(),
        message_id: arguments.message_id.map(|id| id.to_string()).unwrap_or_default(),
    };
    let header = v1::SendRequest { message: Some(Sent::Header(header)) };
    let chunk = |chunk| v1::SendRequest { message: Some(Sent::Chunk(chunk)) };
    let (requests, failure, sent) = pump::outgoing(header, input.chunks(), chunk);
    let call = async { Ok(connection.messages().send(requests).await?.into_inner()) };
    let response = pump::drive(call, failure, sent, progress).await?;
    context.output.answer(&Deposited {
        message_id: response.message_id,
        recipient: arguments.recipient,
        plaintext_size: response.plaintext_size,
        deposit_time: time_or_none(response.deposit_time),
    })
}

impl Report for Deposited {
    fn text(&self) -> String {
        format!("sent {} to {}\n", escape_line(&self.message_id), self.recipient)
    }
}
