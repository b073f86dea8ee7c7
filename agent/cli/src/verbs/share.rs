//! `life share`: further recipients for what is encrypted already.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use life_proto::v1;
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::content::{MESSAGE_LIMIT, OutputArguments, stdout_of};
use crate::connection::Connection;
use crate::context::Context;
use crate::error::Error;
use crate::files::{Content, Existing, Input, MAGIC, SealedFile, Target, Writer};
use crate::names::UserName;
use crate::output::{RecipientReport, Report};

/// Lets further users open an encrypted file.
///
/// That is stated in the sharer's name; the content is neither opened nor changed. Without -o the file is replaced by the shared one, in one step.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"output\",\"size\",\"recipients\":[{\"user\",\"root_key_hash\",\"origin\",\"shared_by\"}]}")]
pub struct Arguments {
    /// The encrypted file; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Who can open it too; repeat it, or separate user ids by commas
    #[arg(short, long, value_name = "UID", required = true, value_delimiter = ',')]
    to: Vec<UserName>,
    /// Where the result goes.
    #[command(flatten)]
    output: OutputArguments,
}

#[derive(Serialize)]
struct Shared {
    output: String,
    size: u64,
    recipients: Vec<RecipientReport>,
}

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let path = &arguments.file;
    let (head, input) = Input::open(path).await?.peek().await?;
    let place = arguments.output.place(path, |path| Some(path.to_owned()));
    let in_place = arguments.output.output.is_none();
    let overwrite = if in_place { Existing::Replace } else { arguments.output.overwrite() };
    let target = Target::open(&place, overwrite, Content::Sealed).await?;
    let connection = context.connect().await?;
    let (size, recipients) = if head.starts_with(MAGIC) {
        let file = seekable(path, input).await?;
        stream(&connection, &arguments, context, file, target).await?
    } else {
        let envelope = input.read_all(MESSAGE_LIMIT, "an envelope").await?;
        let response = share(&connection, &arguments, context, envelope, Bytes::new()).await?;
        let size = response.envelope.len() as u64;
        let mut writer = Writer::new(target);
        writer.write(response.envelope).await?;
        writer.commit().await?;
        (size, response.recipients)
    };
    let recipients = RecipientReport::list(recipients);
    context.output.done(&Shared { output: place.display(), size, recipients }, stdout_of(&place))
}

async fn stream(
    connection: &Connection,
    arguments: &Arguments,
    context: &Context,
    file: File,
    mut target: Target,
) -> Result<(u64, Vec<v1::Recipient>), Error> {
    let mut sealed = SealedFile::new(file, arguments.file.display().to_string())?;
    let (header, trailer) = (sealed.header()?, sealed.trailer()?);
    let response = share(connection, arguments, context, header, trailer).await?;
    let spliced = spawn_blocking(move || {
        let size = sealed.splice(&response.envelope, &mut target)?;
        target.commit()?;
        Ok((size, response.recipients))
    });
    spliced.await.map_err(|error| Error::Software(error.to_string()))?
}

async fn share(
    connection: &Connection,
    arguments: &Arguments,
    context: &Context,
    envelope: Bytes,
    trailer: Bytes,
) -> Result<v1::ShareResponse, Error> {
    let recipients = arguments.to.iter().map(UserName::name).collect();
    let request =
        v1::ShareRequest { user: context.user(), recipients, envelope, trailer, ..Default::default() };
    Ok(connection.crypto().share(request).await?.into_inner())
}

/// The input as a file that can be read at any place: a pipe's content is ciphertext, and goes through a file without
/// a name.
async fn seekable(path: &Path, input: Input) -> Result<File, Error> {
    if input.size().is_some() {
        return File::open(path).map_err(|error| Error::no_input(path, error));
    }
    let spool = tempfile::tempfile().map_err(|error| Error::create(&std::env::temp_dir(), error))?;
    let mut writer = spool.try_clone().map_err(|error| Error::write("the spool file", error))?;
    let mut chunks = input.chunks();
    let copied = spawn_blocking(move || {
        while let Some(chunk) = chunks.blocking_recv() {
            let written = io::Write::write_all(&mut writer, &chunk?);
            written.map_err(|error| Error::write("the spool file", error))?;
        }
        Ok::<(), Error>(())
    });
    copied.await.map_err(|error| Error::Software(error.to_string()))??;
    Ok(spool)
}

impl Report for Shared {
    fn text(&self) -> String {
        format!("shared: {}\n{}", self.output, RecipientReport::lines(&self.recipients))
    }
}
