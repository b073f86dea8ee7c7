//! `life documents download`: fetched, opened, verified.

use std::path::Path;

use clap::Args;
use life_proto::v1;
use life_proto::v1::download_document_response::Message as Received;
use serde::Serialize;

use super::show::Described;
use crate::context::Context;
use crate::error::Error;
use crate::files::{Content, Target, Writer};
use crate::names::DocumentId;
use crate::output::{RecipientReport, Report, SignatureVerdict, escape_line};
use crate::verbs::content::{OutputArguments, stdout_of};

/// Fetches a document, opens it and checks who signed it, and that title and content belong together.
///
/// Without -o it goes to standard output.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"output\",\"plaintext_size\",\"document\" as of life documents show,\"signature\" as of life decrypt,\
\"readers\":[{\"user\",
  \"root_key_hash\",\"origin\",\"shared_by\"}]}")]
pub struct Arguments {
    /// The document's id, a UUID
    #[arg(value_name = "ID")]
    id: DocumentId,
    /// The version it must have
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
    /// Where the result goes.
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Downloaded {
    output: String,
    plaintext_size: u64,
    document: Option<Described>,
    signature: SignatureVerdict,
    readers: Vec<RecipientReport>,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let overwrite = arguments.output.overwrite();
    let place = arguments.output.place(Path::new("-"), |_| None);
    let target = Target::open(&place, overwrite, Content::Private).await?;
    let request = v1::DownloadDocumentRequest {
        user: context.user(),
        document_id: arguments.id.to_string(),
        version: arguments.expect_version.unwrap_or_default(),
        // A staged file is seen by nobody until the result has come.
        allow_unverified_sender: target.is_staged(),
    };
    let mut responses = context.connect().await?.documents().download(request).await?.into_inner();
    let mut progress = context.output.progress("downloading", None);
    let mut writer = Writer::new(target);
    let (mut document, mut result) = (None, None);
    while let Some(response) = responses.message().await? {
        match response.message {
            Some(Received::Document(first)) => {
                let size = first.description.as_ref().map(|it| it.content_size);
                progress = context.output.progress("downloading", size);
                document = Some(Described::from(first));
            }
            Some(Received::Chunk(chunk)) => {
                progress.add(chunk.len());
                writer.write(chunk).await?;
            }
            Some(Received::Result(last)) => result = Some(last),
            None => {}
        }
    }
    let result =
        result.ok_or_else(|| Error::Software("the agent ended the stream without a result".into()))?;
    drop(progress);
    writer.commit().await?;
    let report = Downloaded {
        output: place.display(),
        plaintext_size: result.plaintext_size,
        document,
        signature: SignatureVerdict::new(result.signature),
        readers: RecipientReport::list(result.readers),
    };
    context.output.done(&report, stdout_of(&place))
}

impl Report for Downloaded {
    fn text(&self) -> String {
        let title = self.document.as_ref().map(|it| escape_line(it.title())).unwrap_or_default();
        let place = if self.output == "-" { String::new() } else { format!(" as {}", self.output) };
        format!("downloaded{place}: {title} ({} bytes)\n{}", self.plaintext_size, self.signature.text())
    }
}
