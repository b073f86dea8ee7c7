//! `life documents share`, `unshare` and `delete`: what only the owner can do.

use clap::Args;
use life_proto::v1;
use serde::Serialize;

use crate::context::Context;
use crate::error::Error;
use crate::names::{DocumentId, UserName};
use crate::output::{RecipientReport, Report};

/// Lets further users read a document.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"document_id\",\"version\",\"readers\":[{\"user\",\"root_key_hash\",\"origin\",\"shared_by\"}]}")]
pub struct ShareArguments {
    /// The document's id, a UUID
    #[arg(value_name = "ID")]
    id: DocumentId,
    /// Who can read it too; repeat it, or separate user ids by commas
    #[arg(short, long, value_name = "UID", required = true, value_delimiter = ',')]
    to: Vec<UserName>,
    /// The version it must have
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
}

/// Lets users no longer read a document.
///
/// Its content is encrypted anew, as a new version, for the readers that remain. What was read before is known.
#[derive(Args, Debug)]
#[command(after_long_help = "JSON: as of life documents share.")]
pub struct UnshareArguments {
    /// The document's id, a UUID
    #[arg(value_name = "ID")]
    id: DocumentId,
    /// Who can no longer read it; repeat it, or separate user ids by commas
    #[arg(short, long, visible_alias = "to", value_name = "UID", required = true, value_delimiter = ',')]
    from: Vec<UserName>,
    /// The version it must have
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
}

/// Deletes a document for everybody. Its id stays taken.
#[derive(Args, Debug)]
#[command(after_long_help = "JSON: {\"deleted\"}")]
pub struct DeleteArguments {
    /// The document's id, a UUID
    #[arg(value_name = "ID")]
    id: DocumentId,
    /// The version it must have
    #[arg(long, value_name = "N")]
    expect_version: Option<u64>,
}

#[derive(Serialize)]
struct Shared {
    document_id: String,
    version: u64,
    readers: Vec<RecipientReport>,
}

#[derive(Serialize)]
struct Deleted {
    deleted: String,
}

/// Runs `life documents share`.
pub async fn share(arguments: ShareArguments, context: &Context) -> Result<(), Error> {
    let request = v1::ShareDocumentRequest {
        user: context.user(),
        document_id: arguments.id.to_string(),
        version: arguments.expect_version.unwrap_or_default(),
        readers: arguments.to.iter().map(UserName::name).collect(),
    };
    let response = context.connect().await?.documents().share(request).await?.into_inner();
    let (document_id, readers) = (arguments.id.to_string(), RecipientReport::list(response.readers));
    context.output.answer(&Shared { document_id, version: response.version, readers })
}

/// Runs `life documents unshare`.
pub async fn unshare(arguments: UnshareArguments, context: &Context) -> Result<(), Error> {
    let request = v1::UnshareDocumentRequest {
        user: context.user(),
        document_id: arguments.id.to_string(),
        version: arguments.expect_version.unwrap_or_default(),
        readers: arguments.from.iter().map(UserName::name).collect(),
    };
    let response = context.connect().await?.documents().unshare(request).await?.into_inner();
    let (document_id, readers) = (arguments.id.to_string(), RecipientReport::list(response.readers));
    context.output.answer(&Shared { document_id, version: response.version, readers })
}

/// Runs `life documents delete`.
pub async fn delete(arguments: DeleteArguments, context: &Context) -> Result<(), Error> {
    let request = v1::DeleteDocumentRequest {
        user: context.user(),
        document_id: arguments.id.to_string(),
        version: arguments.expect_version.unwrap_or_default(),
    };
    context.connect().await?.documents().delete(request).await?;
    context.output.answer(&Deleted { deleted: arguments.id.to_string() })
}

impl Report for Shared {
    fn text(&self) -> String {
        format!("{}, version {}\n{}", self.document_id, self.version, RecipientReport::lines(&self.readers))
    }
}

impl Report for Deleted {
    fn text(&self) -> String {
        format!("deleted {}\n", self.deleted)
    }
}
