//! `life encrypt`: for users, signed.

use std::path::PathBuf;

use clap::Args;
use life_proto::unframing::Piece;
use life_proto::v1;
use life_proto::v1::encrypt_stream_request::Message as Sent;
use life_proto::v1::encrypt_stream_response::Message as Received;
use life_proto::{CHUNK_LIMIT, UNARY_LIMIT};
use serde::Serialize;

use super::content::{OutputArguments, Purpose, stdout_of};
use crate::bulk;
use crate::connection::Connection;
use crate::context::Context;
use crate::error::Error;
use crate::files::{Content, Gathered, Input, Target, Writer, path_or_stdin, with_added_extension};
use crate::names::UserName;
use crate::output::{RecipientReport, Report, hex_or_none};
use crate::pump::{self, Part};

/// Encrypts a file for users, and signs it.
///
/// The sender can always open it too. Up to 16 MiB become one CMS envelope (AuthEnvelopedData, DER), which other programs read as well; more becomes a
/// sealed stream. Without -o the result of FILE is FILE.life, and that of standard input goes to standard output.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"output\",\"form\":\"ENVELOPE\" or \"SEALED_STREAM\",\"document_id\",\"signature_digest\",\"plaintext_size\",
  \"ciphertext_size\",\"recipients\":[{\"user\",\"root_key_hash\",\"origin\",\"shared_by\"}]}")]
pub struct Arguments {
    /// What to encrypt; `-` or nothing is standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Who can open it, besides the sender; repeat it, or separate user ids by commas
    #[arg(short, long, value_name = "UID", required = true, value_delimiter = ',')]
    to: Vec<UserName>,
    /// Do not sign: no reader will know who made it
    #[arg(long)]
    no_sign: bool,
    /// Make a sealed stream, whatever the size
    #[arg(long)]
    stream: bool,
    /// What the signature is for
    #[arg(long, default_value = "document")]
    purpose: Purpose,
    /// The document's id, a UUID [default: a new one]
    #[arg(long, value_name = "UUID")]
    document_id: Option<String>,
    /// The document's version, from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    document_version: u64,
    /// Where the result goes.
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Encrypted {
    output: String,
    form: &'static str,
    document_id: String,
    signature_digest: Option<String>,
    plaintext_size: u64,
    ciphertext_size: u64,
    recipients: Vec<RecipientReport>,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let path = path_or_stdin(arguments.file.clone());
    let input = Input::open(&path).await?;
    let place = arguments.output.place(&path, |path| Some(with_added_extension(path, "life")));
    let target = Target::open(&place, arguments.output.overwrite(), Content::Sealed).await?;
    let writer = Writer::new(target);
    let connection = context.connect().await?;
    let gathered = if arguments.stream { Gathered::More(input) } else { input.gather(UNARY_LIMIT).await? };
    let mut report = match gathered {
        Gathered::Whole(plaintext) => unary(&connection, &arguments, context, plaintext, writer).await?,
        Gathered::More(input) => stream(&connection, &arguments, context, input, writer).await?,
    };
    report.output = place.display();
    context.output.done(&report, stdout_of(&place))
}

async fn unary(
    connection: &Connection,
    arguments: &Arguments,
    context: &Context,
    plaintext: bytes::Bytes,
    mut writer: Writer,
) -> Result<Encrypted, Error> {
    let header = arguments.header(context);
    let plaintext_size = plaintext.len() as u64;
    let request = v1::EncryptRequest {
        user: header.user,
        recipients: header.recipients,
        plaintext,
        signing: header.signing,
        purpose: header.purpose,
        document_id: header.document_id,
        document_version: header.document_version,
    };
    let response = connection.crypto().encrypt(request).await?.into_inner();
    let ciphertext_size = response.envelope.len() as u64;
    for offset in (0..response.envelope.len()).step_by(CHUNK_LIMIT) {
        let end = response.envelope.len().min(offset + CHUNK_LIMIT);
        writer.write(response.envelope.slice(offset..end)).await?;
    }
    writer.commit().await?;
    Ok(Encrypted {
        output: String::new(),
        form: "ENVELOPE",
        document_id: response.document_id,
        signature_digest: hex_or_none(&response.signature_digest),
        plaintext_size,
        ciphertext_size,
        recipients: RecipientReport::list(response.recipients),
    })
}

async fn stream(
    connection: &Connection,
    arguments: &Arguments,
    context: &Context,
    input: Input,
    mut writer: Writer,
) -> Result<Encrypted, Error> {
    let progress = context.output.progress("encrypting", input.size());
    let header = v1::EncryptStreamRequest { message: Some(Sent::Header(arguments.header(context))) };
    let chunk = |chunk| v1::EncryptStreamRequest { message: Some(Sent::Chunk(chunk)) };
    let (requests, failure, sent) = pump::outgoing(header, input.chunks(), chunk);
    let part = |piece: Piece<v1::EncryptStreamResponse>| match piece {
        Piece::Chunk(chunk) => Some(Part::Chunk(chunk)),
        Piece::Message(response) => match response.message? {
            Received::Chunk(chunk) => Some(Part::Chunk(chunk)),
            Received::Result(result) => Some(Part::Result(result)),
        },
    };
    let call = async {
        let responses = connection.bulk(bulk::ENCRYPT, requests).await?;
        pump::incoming(responses, &mut writer, part, |_| ()).await
    };
    let result = pump::drive(call, failure, sent, progress).await?;
    writer.commit().await?;
    Ok(Encrypted {
        output: String::new(),
        form: "SEALED_STREAM",
        document_id: result.document_id,
        signature_digest: hex_or_none(&result.signature_digest),
        plaintext_size: result.plaintext_size,
        ciphertext_size: result.ciphertext_size,
        recipients: RecipientReport::list(result.recipients),
    })
}

impl Arguments {
    fn header(&self, context: &Context) -> v1::EncryptStreamHeader {
        let signing = if self.no_sign { v1::Signing::None } else { v1::Signing::Sign };
        v1::EncryptStreamHeader {
            user: context.user(),
            recipients: self.to.iter().map(UserName::name).collect(),
            signing: signing.into(),
            purpose: v1::SignaturePurpose::from(self.purpose).into(),
            document_id: self.document_id.clone().unwrap_or_default(),
            document_version: self.document_version,
        }
    }
}

impl Report for Encrypted {
    fn text(&self) -> String {
        let signed =
            if self.signature_digest.is_some() { "encrypted and signed" } else { "encrypted, not signed" };
        format!("{signed}: {}\n{}", self.output, RecipientReport::lines(&self.recipients))
    }
}
