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
use crate::pump::{self, Part};
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
    document: Described,
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
    // What the document is comes first, and with it how long the content is.
    let (document, size) = match responses.message().await?.and_then(|first| first.message) {
        Some(Received::Document(first)) => {
            let size = first.description.as_ref().map(|it| it.content_size);
            (Described::from(first), size)
        }
        _ => return Err(Error::Software("the agent did not say which document it gives".into())),
    };
    let mut progress = context.output.progress("downloading", size);
    let mut writer = Writer::new(target);
    let part = |response: v1::DownloadDocumentResponse| match response.message? {
        Received::Document(_) => None,
        Received::Chunk(chunk) => Some(Part::Chunk(chunk)),
        Received::Result(result) => Some(Part::Result(result)),
    };
    let result = pump::incoming(responses, &mut writer, part, |bytes| progress.add(bytes)).await?;
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
        let title = escape_line(self.document.title());
        let place = if self.output == "-" { String::new() } else { format!(" as {}", self.output) };
        format!("downloaded{place}: {title} ({} bytes)\n{}", self.plaintext_size, self.signature.text())
    }
}
