//! `life sign`: in the name of a user.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use life_proto::UNARY_LIMIT;
use life_proto::v1;
use life_proto::v1::sign_stream_request::Message as Sent;
use serde::Serialize;

use super::content::{OutputArguments, stdout_of};
use crate::connection::Connection;
use crate::context::Context;
use crate::error::Error;
use crate::files::{Content, Gathered, Input, Target, Writer, path_or_stdin, with_added_extension};
use crate::output::{Report, hex_or_none};
use crate::pump;

/// Signs a file.
///
/// Makes CMS SignedData, DER, which other programs verify as well. Such a signature stands beside plain content; it is never proof of an encrypted document's sender. Without -o the
/// result of FILE is FILE.p7m with the content inside, FILE.p7s with --detached, and that of standard input goes to
/// standard output.
#[derive(Args, Debug)]
#[command(
    after_long_help = "JSON: {\"output\",\"form\":\"ATTACHED\" or \"DETACHED\",\"signature_digest\",\"content_size\"}"
)]
pub struct Arguments {
    /// What to sign; `-` or nothing is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Leave the content out of the signature; needed for more than 16 MiB
    #[arg(long)]
    detached: bool,
    /// Where the result goes.
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Signed {
    output: String,
    form: &'static str,
    signature_digest: Option<String>,
    content_size: u64,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let path = path_or_stdin(arguments.file.clone());
    let input = Input::open(&path).await?;
    let extension = if arguments.detached { "p7s" } else { "p7m" };
    let place = arguments.output.place(&path, |path| Some(with_added_extension(path, extension)));
    let target = Target::open(&place, arguments.output.overwrite(), Content::Sealed).await?;
    let connection = context.connect().await?;
    let (mut report, signed_data) = match input.gather(UNARY_LIMIT).await? {
        Gathered::Whole(content) => unary(&connection, &arguments, context, content).await?,
        Gathered::More(input) if arguments.detached => stream(&connection, context, input).await?,
        Gathered::More(_) => {
            let message =
                "a signature holds at most 16 MiB of content: leave the content out with --detached";
            return Err(Error::data("MESSAGE_TOO_LARGE", message));
        }
    };
    let mut writer = Writer::new(target);
    writer.write(signed_data).await?;
    writer.commit().await?;
    report.output = place.display();
    context.output.done(&report, stdout_of(&place))
}

async fn unary(
    connection: &Connection,
    arguments: &Arguments,
    context: &Context,
    content: Bytes,
) -> Result<(Signed, Bytes), Error> {
    let (form, name) = match arguments.detached {
        true => (v1::SignatureForm::Detached, "DETACHED"),
        false => (v1::SignatureForm::Attached, "ATTACHED"),
    };
    let content_size = content.len() as u64;
    let request = v1::SignRequest { user: context.user(), content, form: form.into() };
    let response = connection.crypto().sign(request).await?.into_inner();
    let signature_digest = hex_or_none(&response.signature_digest);
    Ok((Signed { output: String::new(), form: name, signature_digest, content_size }, response.signed_data))
}

async fn stream(connection: &Connection, context: &Context, input: Input) -> Result<(Signed, Bytes), Error> {
    let progress = context.output.progress("signing", input.size());
    let header = v1::SignStreamHeader { user: context.user() };
    let header = v1::SignStreamRequest { message: Some(Sent::Header(header)) };
    let chunk = |chunk| v1::SignStreamRequest { message: Some(Sent::Chunk(chunk)) };
    let (requests, failure, sent) = pump::outgoing(header, input.chunks(), chunk);
    let call = async { Ok(connection.crypto().sign_stream(requests).await?.into_inner()) };
    let response = pump::drive(call, failure, sent, progress).await?;
    let report = Signed {
        output: String::new(),
        form: "DETACHED",
        signature_digest: hex_or_none(&response.signature_digest),
        content_size: response.content_size,
    };
    Ok((report, response.signed_data))
}

impl Report for Signed {
    fn text(&self) -> String {
        format!("signed: {}\n", self.output)
    }
}
