//! `life inbox`: what others sent.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use life_proto::v1;
use serde::Serialize;

use super::content::{OutputArguments, stdout_of};
use super::decrypt::Decrypted;
use super::pages::{self, Page};
use crate::context::Context;
use crate::error::Error;
use crate::files::{Content, Place, Target, Writer};
use crate::names::{MessageId, bare};
use crate::output::{RecipientReport, Report, SignatureVerdict, escape_line, time_or_none};
use crate::pump::{self, Part};

/// How many messages are asked for at once.
const PAGE: i32 = 500;

/// Reads the messages that others sent.
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Delete(DeleteArguments),
    Get(GetArguments),
    List(ListArguments),
}

/// Deletes a message.
#[derive(Args, Debug)]
#[command(after_long_help = "JSON: {\"deleted\"}")]
struct DeleteArguments {
    /// The message's id, a UUID
    #[arg(value_name = "ID")]
    message_id: MessageId,
}

/// Fetches a message, opens it and checks who signed it. It stays in the inbox.
///
/// Without -o it goes to standard output.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: as of life decrypt; with --raw {\"output\",\"size\",\"receipt\"}, the receipt in hexadecimal digits or null.")]
struct GetArguments {
    /// The message's id, a UUID
    #[arg(value_name = "ID")]
    message_id: MessageId,
    /// Fetch it as it lies there, still encrypted: life decrypt --purpose message opens it
    #[arg(long)]
    raw: bool,
    /// Write the platform's receipt over the signature to a file
    #[arg(long, value_name = "FILE", requires = "raw")]
    receipt: Option<PathBuf>,
    /// Where the result goes.
    #[command(flatten)]
    output: OutputArguments,
}

/// Lists the messages, oldest first.
#[derive(Args, Debug)]
#[command(
    after_long_help = "JSON: {\"messages\":[{\"message_id\",\"depositor\",\"size\",\"deposit_time\"}]}"
)]
struct ListArguments {}

#[derive(Serialize)]
struct Deleted {
    deleted: String,
}

#[derive(Serialize)]
struct Messages {
    messages: Vec<Message>,
}

#[derive(Serialize)]
struct Message {
    message_id: String,
    depositor: String,
    size: u64,
    deposit_time: Option<String>,
}

#[derive(Serialize)]
struct Fetched {
    output: String,
    size: u64,
    receipt: Option<String>,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    match arguments.action {
        Action::Delete(arguments) => delete(arguments, context).await,
        Action::Get(arguments) if arguments.raw => fetch(arguments, context).await,
        Action::Get(arguments) => receive(arguments, context).await,
        Action::List(_) => list(context).await,
    }
}

async fn delete(arguments: DeleteArguments, context: &Context) -> Result<(), Error> {
    let request =
        v1::DeleteMessageRequest { user: context.user(), message_id: arguments.message_id.to_string() };
    context.connect().await?.messages().delete(request).await?;
    context.output.answer(&Deleted { deleted: arguments.message_id.to_string() })
}

async fn list(context: &Context) -> Result<(), Error> {
    let mut client = context.connect().await?.messages();
    let messages = pages::all("messages", ": delete some", context, async |page_token| {
        let request = v1::ListMessagesRequest { user: context.user(), page_size: PAGE, page_token };
        let page = client.list(request).await?.into_inner();
        Ok(Page { items: page.messages, next: page.next_page_token })
    });
    let messages = messages.await?.into_iter().map(Message::from).collect();
    context.output.answer(&Messages { messages })
}

async fn receive(arguments: GetArguments, context: &Context) -> Result<(), Error> {
    use v1::receive_response::Message as Received;
    let (place, target) = open(&arguments, Content::Private).await?;
    let request = v1::ReceiveRequest {
        user: context.user(),
        message_id: arguments.message_id.to_string(),
        // A staged file is seen by nobody until the result has come.
        allow_unverified_sender: target.is_staged(),
    };
    let mut progress = context.output.progress("receiving", None);
    let responses = context.connect().await?.messages().receive(request).await?.into_inner();
    let part = |response: v1::ReceiveResponse| match response.message? {
        Received::Chunk(chunk) => Some(Part::Chunk(chunk)),
        Received::Result(result) => Some(Part::Result(result)),
    };
    let mut writer = Writer::new(target);
    let result = pump::incoming(responses, &mut writer, part, |bytes| progress.add(bytes)).await?;
    drop(progress);
    writer.commit().await?;
    let report = Decrypted {
        output: place.display(),
        plaintext_size: result.plaintext_size,
        signature: SignatureVerdict::new(result.signature),
        recipients: RecipientReport::list(result.recipients),
    };
    context.output.done(&report, stdout_of(&place))
}

async fn fetch(arguments: GetArguments, context: &Context) -> Result<(), Error> {
    use v1::fetch_response::Message as Received;
    let (place, target) = open(&arguments, Content::Sealed).await?;
    let overwrite = arguments.output.overwrite();
    let receipt_target = match arguments.receipt.map(Place::named) {
        Some(place) => Some(Target::open(&place, overwrite, Content::Sealed).await?),
        None => None,
    };
    let request = v1::FetchRequest { user: context.user(), message_id: arguments.message_id.to_string() };
    let mut progress = context.output.progress("fetching", None);
    let responses = context.connect().await?.messages().fetch(request).await?.into_inner();
    let part = |response: v1::FetchResponse| match response.message? {
        Received::Chunk(chunk) => Some(Part::Chunk(chunk)),
        Received::Result(result) => Some(Part::Result(result)),
    };
    let mut writer = Writer::new(target);
    let result = pump::incoming(responses, &mut writer, part, |bytes| progress.add(bytes)).await?;
    drop(progress);
    writer.commit().await?;
    let receipt = (!result.receipt.is_empty()).then(|| hex::encode(&result.receipt));
    match receipt_target {
        Some(mut target) if receipt.is_some() => {
            target.write(&result.receipt)?;
            target.commit()?;
        }
        Some(_) => context.output.warn("RECEIPT_MISSING", "the platform has no receipt for this message"),
        None => {}
    }
    context.output.done(&Fetched { output: place.display(), size: result.size, receipt }, stdout_of(&place))
}

async fn open(arguments: &GetArguments, content: Content) -> Result<(Place, Target), Error> {
    let overwrite = arguments.output.overwrite();
    let place = arguments.output.place(Path::new("-"), |_| None);
    let target = Target::open(&place, overwrite, content).await?;
    Ok((place, target))
}

impl From<v1::MessageInfo> for Message {
    fn from(info: v1::MessageInfo) -> Self {
        Self {
            message_id: info.message_id,
            depositor: info.depositor,
            size: info.size,
            deposit_time: time_or_none(info.deposit_time),
        }
    }
}

impl Report for Deleted {
    fn text(&self) -> String {
        format!("deleted {}\n", self.deleted)
    }
}

impl Report for Messages {
    fn text(&self) -> String {
        let mut text = String::new();
        for message in &self.messages {
            let time = message.deposit_time.as_deref().unwrap_or("-");
            let (id, depositor) = (escape_line(&message.message_id), escape_line(bare(&message.depositor)));
            let _infallible = writeln!(text, "{id}  {time}  {:>12}  {depositor}", message.size);
        }
        text
    }
}

impl Report for Fetched {
    fn text(&self) -> String {
        format!("fetched: {} ({} bytes)\n", self.output, self.size)
    }
}
