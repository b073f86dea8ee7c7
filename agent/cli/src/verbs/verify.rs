//! `life verify`: judging a signature.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use life_proto::UNARY_LIMIT;
use life_proto::v1;
use life_proto::v1::verify_stream_request::Message as Sent;
use serde::Serialize;

use super::content::{MESSAGE_LIMIT, OutputArguments, SIGNATURE_LIMIT, stdout_of};
use crate::connection::Connection;
use crate::context::Context;
use crate::error::Error;
use crate::files::{Content, Gathered, Input, Place, Target, Writer, path_or_stdin};
use crate::output::{Report, SignatureVerdict, Stdout};
use crate::pump;

/// Checks a signature.
///
/// Takes CMS SignedData, DER or BER. Exits with 65 unless it is valid.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"signature\":{\"state\",\"signer\",\"trust\",\"signing_time\",\"receipt_time\",\"purpose\",\"explanation\",\
\"document_id\",
  \"document_version\",\"signature_digest\"},\"content_size\",\"output\" or null}; state is VALID, INVALID,
  SIGNER_TIME_UNPROVEN or SIGNER_UNKNOWN.")]
pub struct Arguments {
    /// The signature; `-` or nothing is standard input
    #[arg(value_name = "SIGNATURE")]
    file: Option<PathBuf>,
    /// The content of a detached signature; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    content: Option<PathBuf>,
    /// The platform's receipt over the signature, which proves its time
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Where the content of an attached signature goes, if it is valid.
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Verified {
    signature: SignatureVerdict,
    content_size: u64,
    output: Option<String>,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let path = path_or_stdin(arguments.file.clone());
    let detached = arguments.content.is_some();
    if detached && arguments.output.output.is_some() {
        return Err(Error::Usage("a detached signature holds no content that -o could write".into()));
    }
    if arguments.content.as_ref().is_some_and(|content| content == &path) {
        return Err(Error::Usage("signature and content cannot both come from one place".into()));
    }
    let content = match &arguments.content {
        Some(path) => Some(Input::open(path).await?),
        None => None,
    };
    let limit = if detached { SIGNATURE_LIMIT } else { MESSAGE_LIMIT };
    let signed_data = Input::open(&path).await?.read_all(limit, "a signature").await?;
    let receipt = match &arguments.receipt {
        Some(path) => Input::open(path).await?.read_all(SIGNATURE_LIMIT, "a receipt").await?,
        None => Bytes::new(),
    };
    let place = arguments.output.output.clone().map(Place::named);
    let overwrite = arguments.output.overwrite();
    let target = match &place {
        Some(place) => Some(Target::open(place, overwrite, Content::Private).await?),
        None => None,
    };
    let connection = context.connect().await?;
    let content = match content {
        Some(input) => match input.gather(UNARY_LIMIT).await? {
            Gathered::Whole(content) => Some(content),
            Gathered::More(input) => {
                let verified = stream(&connection, context, signed_data, receipt, input).await?;
                return finish(verified, context, Stdout::Reports);
            }
        },
        None => None,
    };
    let content_size = content.as_ref().map(Bytes::len);
    let request = v1::VerifyRequest { user: context.user(), signed_data, content, receipt };
    let response = connection.crypto().verify(request).await?.into_inner();
    let signature = SignatureVerdict::new(response.signature);
    let content_size = content_size.unwrap_or(response.content.len()) as u64;
    let mut output = None;
    if let (true, Some(target), Some(place)) = (signature.is_valid(), target, &place) {
        let mut writer = Writer::new(target);
        writer.write(response.content).await?;
        writer.commit().await?;
        output = Some(place.display());
    }
    let stdout = place.as_ref().map_or(Stdout::Reports, stdout_of);
    finish(Verified { signature, content_size, output }, context, stdout)
}

async fn stream(
    connection: &Connection,
    context: &Context,
    signed_data: Bytes,
    receipt: Bytes,
    input: Input,
) -> Result<Verified, Error> {
    let progress = context.output.progress("verifying", input.size());
    let header = v1::VerifyStreamHeader { user: context.user(), signed_data, receipt };
    let header = v1::VerifyStreamRequest { message: Some(Sent::Header(header)) };
    let chunk = |chunk| v1::VerifyStreamRequest { message: Some(Sent::Chunk(chunk)) };
    let (requests, failure, sent) = pump::outgoing(header, input.chunks(), chunk);
    let call = async { Ok(connection.crypto().verify_stream(requests).await?.into_inner()) };
    let response = pump::drive(call, failure, sent, progress).await?;
    let signature = SignatureVerdict::new(response.signature);
    Ok(Verified { signature, content_size: response.content_size, output: None })
}

/// Prints the verdict; one that is not VALID is a failure as well.
fn finish(verified: Verified, context: &Context, stdout: Stdout) -> Result<(), Error> {
    match stdout {
        Stdout::Reports => context.output.answer(&verified)?,
        Stdout::Content => context.output.done(&verified, stdout)?,
    }
    let signature = &verified.signature;
    if signature.is_valid() {
        return Ok(());
    }
    Err(Error::data(signature.reason(), format!("the signature proves nothing: {}", signature.explanation())))
}

impl Report for Verified {
    fn text(&self) -> String {
        self.signature.text()
    }
}
