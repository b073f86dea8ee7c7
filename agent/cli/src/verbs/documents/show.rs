//! `life documents list` and `life documents show`.

use std::fmt::Write;

use clap::Args;
use life_proto::v1;
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::error::Error;
use crate::names::{DocumentId, bare};
use crate::output::{RecipientReport, Report, SignatureVerdict, escape_line, time_or_none, word};
use crate::verbs::pages::{self, Page};

/// How many documents are asked for at once.
const PAGE: i32 = 100;

/// Lists the documents that one owns or may read.
#[derive(Args, Debug)]
#[command(
    after_long_help = "JSON: {\"documents\":[…]}, each as of life documents show, without document_reference; \
\"fault\" is {\"reason\",\"message\"} where
  the description was refused."
)]
pub struct ListArguments {}

/// Describes a document.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"document_id\",\"version\",\"revision\",\"status\",\"owner\",\"title\",\"type\":{\"system\",\"code\",\"display\"} or null,
  \"content_type\",\"size\",\"ciphertext_size\",\"made_time\",\"create_time\",\"update_time\",\"signature\" as of life decrypt,
  \"readers\":[{\"user\",\"root_key_hash\",\"origin\",\"shared_by\"}],\"document_reference\",\"fault\"}")]
pub struct ShowArguments {
    /// The document's id, a UUID
    #[arg(value_name = "ID")]
    id: DocumentId,
}

#[derive(Serialize)]
struct Documents {
    documents: Vec<Described>,
}

/// A document as it is described.
#[derive(Serialize)]
pub struct Described {
    document_id: String,
    version: u64,
    revision: u64,
    status: String,
    owner: String,
    title: Option<String>,
    r#type: Option<Coding>,
    content_type: Option<String>,
    size: Option<u64>,
    ciphertext_size: u64,
    made_time: Option<String>,
    create_time: Option<String>,
    update_time: Option<String>,
    signature: Option<SignatureVerdict>,
    readers: Vec<RecipientReport>,
    document_reference: Option<Value>,
    fault: Option<Fault>,
}

#[derive(Serialize)]
struct Coding {
    system: String,
    code: String,
    display: String,
}

#[derive(Serialize)]
struct Fault {
    reason: String,
    message: String,
}

/// Runs `life documents list`.
pub async fn list(context: &Context) -> Result<(), Error> {
    let mut client = context.connect().await?.documents();
    let documents = pages::all("documents", "", context, async |page_token| {
        let request = v1::ListDocumentsRequest { user: context.user(), page_size: PAGE, page_token };
        let page = client.list(request).await?.into_inner();
        let items = page.documents.into_iter().map(Described::from).collect();
        Ok(Page { items, next: page.next_page_token })
    });
    let documents = documents.await?;
    for refused in documents.iter().filter_map(|it| it.fault.as_ref().map(|fault| (it, fault))) {
        let (document, fault) = refused;
        let id = escape_line(&document.document_id);
        let text = format!("{id} is not described: {}", escape_line(&fault.message));
        context.output.warn(&fault.reason, &text);
    }
    context.output.answer(&Documents { documents })
}

/// Runs `life documents show`.
pub async fn show(arguments: ShowArguments, context: &Context) -> Result<(), Error> {
    let request = v1::GetDocumentRequest { user: context.user(), document_id: arguments.id.to_string() };
    let response = context.connect().await?.documents().get(request).await?.into_inner();
    let missing = || Error::Software("the agent answered without a document".into());
    context.output.answer(&Described::from(response.document.ok_or_else(missing)?))
}

impl From<v1::Document> for Described {
    fn from(document: v1::Document) -> Self {
        let status = word(document.status().as_str_name(), "DOCUMENT_STATUS_");
        let (description, there) = match document.description {
            Some(description) => (description, true),
            None => (v1::DocumentDescription::default(), false),
        };
        let coding = |it: v1::Coding| Coding { system: it.system, code: it.code, display: it.display };
        Self {
            document_id: document.document_id,
            version: document.version,
            revision: document.revision,
            status,
            owner: document.owner,
            title: there.then_some(description.title),
            r#type: description.r#type.map(coding),
            content_type: there.then_some(description.content_type),
            size: there.then_some(description.content_size),
            ciphertext_size: document.ciphertext_size,
            made_time: time_or_none(description.create_time),
            create_time: time_or_none(document.create_time),
            update_time: time_or_none(document.update_time),
            signature: document.signature.map(|signature| SignatureVerdict::new(Some(signature))),
            readers: RecipientReport::list(document.readers),
            document_reference: serde_json::from_slice(&description.document_reference).ok(),
            fault: document.fault.map(|fault| Fault { reason: fault.reason, message: fault.message }),
        }
    }
}

impl Described {
    /// What people call it.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or_default()
    }

    /// What stands where a title would.
    fn shown(&self) -> String {
        match (&self.fault, &self.title) {
            (Some(fault), _) => format!("({})", escape_line(&fault.reason)),
            (None, Some(title)) => escape_line(title),
            (None, None) => format!("({})", self.status),
        }
    }
}

impl Report for Documents {
    fn text(&self) -> String {
        let mut text = String::new();
        for it in &self.documents {
            let time = it.update_time.as_deref().unwrap_or("-");
            let size = it.size.unwrap_or(it.ciphertext_size);
            let (id, title) = (escape_line(&it.document_id), it.shown());
            let _infallible = writeln!(text, "{id}  v{}  {time}  {size:>12}  {title}", it.version);
        }
        text
    }
}

impl Report for Described {
    fn text(&self) -> String {
        let owner = escape_line(bare(&self.owner));
        let id = escape_line(&self.document_id);
        let mut text =
            format!("{}\n{id}, version {}, {}, of {owner}\n", self.shown(), self.version, self.status);
        if let (Some(size), Some(media)) = (self.size, &self.content_type) {
            let _infallible = writeln!(text, "{size} bytes, {}", escape_line(media));
        }
        if let Some(Coding { system, code, display }) = &self.r#type {
            let parts = [system, code, display].map(|it| escape_line(it));
            let _infallible = writeln!(text, "type: {}", parts.join(" ").trim());
        }
        if let Some(signature) = &self.signature {
            text.push_str(&signature.text());
        }
        text + &RecipientReport::lines(&self.readers)
    }
}
