//! `life documents upload`: a file, or what comes in.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use bytes::Bytes;
use clap::Args;
use life_proto::v1;
use life_proto::v1::upload_document_request::Message as Sent;
use serde::Serialize;

use crate::context::Context;
use crate::error::Error;
use crate::files::Input;
use crate::names::{DocumentId, UserName};
use crate::output::{RecipientReport, Report, escape_line};
use crate::pump;

/// The longest FHIR resource that is read.
const REFERENCE_LIMIT: usize = 64 * 1024;

/// Stores a file as a document, or as a new version of one.
///
/// The platform learns neither content nor title. Without --expect-version the document must not be there yet; if it
/// is, with this very content, nothing is done: so a command whose answer was lost can be repeated, with --id. One that
/// was cut in the middle, repeated with --id within a day, sends only what had not arrived, and says how much that saved.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"document_id\",\"version\",\"existed\",\"plaintext_size\",\"ciphertext_size\",\"resumed_size\",\"readers\":[{\"user\",\"root_key_hash\",
  \"origin\",\"shared_by\"}]}")]
pub struct Arguments {
    /// What to store; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The document's id, a random UUID [default: a new one]
    #[arg(long, value_name = "UUID")]
    id: Option<DocumentId>,
    /// The version that this one replaces
    #[arg(long, value_name = "N", requires = "id")]
    expect_version: Option<u64>,
    /// Who can read it, besides the owner; repeat it, or separate user ids by commas
    #[arg(short, long, value_name = "UID", value_delimiter = ',')]
    to: Vec<UserName>,
    /// Let those who read the replaced version read this one too
    #[arg(long, requires = "expect_version")]
    keep_readers: bool,
    /// What people call it [default: the file's name]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// Of what kind it is: a code, with its system before it as in `http://loinc.org|11488-4`
    #[arg(long = "type", value_name = "[SYSTEM|]CODE")]
    kind: Option<Kind>,
    /// The media type, such as application/pdf
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// A FHIR DocumentReference (JSON), which the agent completes
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
}

/// A code, with or without its system.
#[derive(Clone, Debug)]
struct Kind(v1::Coding);

impl FromStr for Kind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (system, code) = text.rsplit_once('|').unwrap_or(("", text));
        if code.is_empty() {
            return Err("there is no code");
        }
        Ok(Self(v1::Coding { system: system.into(), code: code.into(), display: String::new() }))
    }
}

#[derive(Serialize)]
struct Stored {
    document_id: String,
    version: u64,
    existed: bool,
    plaintext_size: u64,
    ciphertext_size: u64,
    resumed_size: u64,
    readers: Vec<RecipientReport>,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let input = Input::open(&arguments.file).await?;
    let document_reference = match &arguments.reference {
        Some(path) => Input::open(path).await?.read_all(REFERENCE_LIMIT, "a DocumentReference").await?,
        None => Bytes::new(),
    };
    let connection = context.connect().await?;
    let progress = context.output.progress("uploading", input.size());
    let header = v1::UploadDocumentHeader {
        user: context.user(),
        document_id: arguments.id.map(|id| id.to_string()).unwrap_or_default(),
        replaces_version: arguments.expect_version.unwrap_or_default(),
        readers: arguments.to.iter().map(UserName::name).collect(),
        keep_readers: arguments.keep_readers,
        title: arguments.title.unwrap_or_else(|| match document_reference.is_empty() {
            true => title_of(&arguments.file),
            false => String::new(),
        }),
        r#type: arguments.kind.map(|kind| kind.0),
        content_type: arguments.content_type.unwrap_or_default(),
        document_reference,
    };
    let header = v1::UploadDocumentRequest { message: Some(Sent::Header(header)) };
    let chunk = |chunk| v1::UploadDocumentRequest { message: Some(Sent::Chunk(chunk)) };
    let (requests, failure, sent) = pump::outgoing(header, input.chunks(), chunk);
    let call = async { Ok(connection.documents().upload(requests).await?.into_inner()) };
    let response = pump::drive(call, failure, sent, progress).await?;
    context.output.answer(&Stored {
        document_id: response.document_id,
        version: response.version,
        existed: response.existed,
        plaintext_size: response.plaintext_size,
        ciphertext_size: response.ciphertext_size,
        resumed_size: response.resumed_size,
        readers: RecipientReport::list(response.readers),
    })
}

/// The file's own name; none for standard input.
fn title_of(file: &Path) -> String {
    if file == Path::new("-") {
        return String::new();
    }
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Report for Stored {
    fn text(&self) -> String {
        let done = if self.existed { "there already" } else { "stored" };
        let readers = RecipientReport::lines(&self.readers);
        let resumed = match self.resumed_size {
            0 => String::new(),
            size => format!("went on where an earlier call had come to: {size} bytes were there\n"),
        };
        format!("{done}: {}, version {}\n{resumed}{readers}", escape_line(&self.document_id), self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_a_code_with_or_without_its_system() {
        let read = |text: &str| text.parse::<Kind>().map(|kind| (kind.0.system, kind.0.code)).ok();
        let both = |system: &str, code: &str| Some((system.to_owned(), code.to_owned()));
        assert_eq!(read("http://loinc.org|11488-4"), both("http://loinc.org", "11488-4"));
        assert_eq!(read("11488-4"), both("", "11488-4"));
        assert_eq!(read("http://loinc.org|"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn the_title_is_the_name_without_its_folders() {
        assert_eq!(title_of(Path::new("a/scan.pdf")), "scan.pdf");
        assert_eq!(title_of(Path::new("-")), "");
    }
}
