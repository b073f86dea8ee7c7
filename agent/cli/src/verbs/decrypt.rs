//! `life decrypt`: opening and judging.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use life_proto::unframing::Piece;
use life_proto::v1;
use life_proto::v1::decrypt_stream_request::Message as Sent;
use life_proto::v1::decrypt_stream_response::Message as Received;
use serde::Serialize;

use super::content::{MESSAGE_LIMIT, OutputArguments, Purpose, SIGNATURE_LIMIT, stdout_of};
use crate::bulk;
use crate::connection::Connection;
use crate::context::Context;
use crate::error::Error;
use crate::files::{Content, Input, MAGIC, Target, Writer, path_or_stdin};
use crate::output::{Output, RecipientReport, Report, SignatureVerdict};
use crate::pump::{self, Part};

/// Opens an encrypted file, and checks who signed it.
///
/// Takes CMS envelopes (DER or BER) and sealed streams; which of the two is seen from the content. A bad signature is
/// a failure, and nothing is written; content without a signature is opened with a warning. Without -o the result of
/// FILE.life is FILE, and everything else goes to standard output.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"output\",\"plaintext_size\",\"signature\":{\"state\",\"signer\",\"trust\",\"signing_time\",\"receipt_time\",\
\"purpose\",
  \"explanation\",\"document_id\",\"document_version\",\"signature_digest\"},\"recipients\":[{\"user\",\"root_key_hash\",
  \"origin\",\"shared_by\"}]}; state is VALID or NONE.")]
pub struct Arguments {
    /// What to open; `-` or nothing is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Refuse content without a signature
    #[arg(long)]
    require_signature: bool,
    /// The purpose the signature must have
    #[arg(long, default_value = "document")]
    purpose: Purpose,
    /// The platform's receipt over the signature, which proves its time
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Where the result goes.
    #[command(flatten)]
    output: OutputArguments,
}

/// Content that was opened.
#[derive(Serialize)]
pub struct Decrypted {
    /// Where it is.
    pub output: String,
    /// Its bytes.
    pub plaintext_size: u64,
    /// Who signed it.
    pub signature: SignatureVerdict,
    /// Who can open it.
    pub recipients: Vec<RecipientReport>,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let path = path_or_stdin(arguments.file.clone());
    let (head, input) = Input::open(&path).await?.peek().await?;
    let place = arguments.output.place(&path, without_life);
    let target = Target::open(&place, arguments.output.overwrite(), Content::Private).await?;
    let receipt = match &arguments.receipt {
        Some(path) => Input::open(path).await?.read_all(SIGNATURE_LIMIT, "a receipt").await?,
        None => Bytes::new(),
    };
    let connection = context.connect().await?;
    let mut report = if head.starts_with(MAGIC) {
        stream(&connection, &arguments, context, input, target, receipt).await?
    } else {
        let envelope = input.read_all(MESSAGE_LIMIT, "an envelope").await?;
        unary(&connection, &arguments, context, envelope, target, receipt).await?
    };
    report.output = place.display();
    report.warn_if_unsigned(context.output);
    context.output.done(&report, stdout_of(&place))
}

async fn unary(
    connection: &Connection,
    arguments: &Arguments,
    context: &Context,
    envelope: Bytes,
    target: Target,
    receipt: Bytes,
) -> Result<Decrypted, Error> {
    let request = v1::DecryptRequest {
        user: context.user(),
        envelope,
        accept_unsigned: !arguments.require_signature,
        purpose: v1::SignaturePurpose::from(arguments.purpose).into(),
        receipt,
    };
    let response = connection.crypto().decrypt(request).await?.into_inner();
    let report = Decrypted {
        output: String::new(),
        plaintext_size: response.plaintext.len() as u64,
        signature: SignatureVerdict::new(response.signature),
        recipients: RecipientReport::list(response.recipients),
    };
    let mut writer = Writer::new(target);
    writer.write(response.plaintext).await?;
    writer.commit().await?;
    Ok(report)
}

async fn stream(
    connection: &Connection,
    arguments: &Arguments,
    context: &Context,
    input: Input,
    target: Target,
    receipt: Bytes,
) -> Result<Decrypted, Error> {
    let progress = context.output.progress("decrypting", input.size());
    let header = v1::DecryptStreamHeader {
        user: context.user(),
        accept_unsigned: !arguments.require_signature,
        // A staged file is seen by nobody until the result has come.
        allow_unverified_sender: target.is_staged(),
        purpose: v1::SignaturePurpose::from(arguments.purpose).into(),
        receipt,
    };
    let header = v1::DecryptStreamRequest { message: Some(Sent::Header(header)) };
    let chunk = |chunk| v1::DecryptStreamRequest { message: Some(Sent::Chunk(chunk)) };
    let (requests, failure, sent) = pump::outgoing(header, input.chunks(), chunk);
    let mut writer = Writer::new(target);
    let part = |piece: Piece<v1::DecryptStreamResponse>| match piece {
        Piece::Chunk(chunk) => Some(Part::Chunk(chunk)),
        Piece::Message(response) => match response.message? {
            Received::Chunk(chunk) => Some(Part::Chunk(chunk)),
            Received::Result(result) => Some(Part::Result(result)),
        },
    };
    let call = async {
        let responses = connection.bulk(bulk::DECRYPT, requests).await?;
        pump::incoming(responses, &mut writer, part, |_| ()).await
    };
    let result = pump::drive(call, failure, sent, progress).await?;
    writer.commit().await?;
    Ok(Decrypted {
        output: String::new(),
        plaintext_size: result.plaintext_size,
        signature: SignatureVerdict::new(result.signature),
        recipients: RecipientReport::list(result.recipients),
    })
}

/// `FILE.life` without `.life`; nothing for another name.
fn without_life(path: &Path) -> Option<PathBuf> {
    (path.extension() == Some(OsStr::new("life"))).then(|| path.with_extension(""))
}

impl Decrypted {
    /// Says so when nobody vouches for the content.
    pub fn warn_if_unsigned(&self, output: Output) {
        if self.signature.is_none() {
            output.warn("SIGNATURE_MISSING", "unsigned: anybody may have made this content");
        }
    }
}

impl Report for Decrypted {
    fn text(&self) -> String {
        let place = if self.output == "-" { String::new() } else { format!("decrypted: {}\n", self.output) };
        format!("{place}{}", self.signature.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_extension_is_taken_off() {
        assert_eq!(without_life(Path::new("a/scan.dcm.life")), Some("a/scan.dcm".into()));
        assert_eq!(without_life(Path::new("a/scan.der")), None);
        assert_eq!(without_life(Path::new("life")), None);
    }
}
