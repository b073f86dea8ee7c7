//! `life unlock`: opening a credential.

use std::env;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use clap::Args;
use life_proto::v1;
use life_proto::v1::unlock_response::Step;
use life_sys::secret::SecretBytes;

use super::status::Identity;
use crate::context::Context;
use crate::descriptor;
use crate::error::Error;
use crate::files::Input;
use crate::names::UserName;
use crate::passphrase::Source;

/// The largest PKCS#12 file the agent takes.
const PKCS12_LIMIT: usize = 64 * 1024;

/// Unlocks a software certificate.
///
/// Several users can be unlocked at once. Asks for the passphrase on the terminal and hands it to the vault through a descriptor, past the broker.
#[derive(Args, Debug)]
#[command(after_long_help = "\
JSON: {\"user\",\"uid\",\"credential\",\"credential_kind\",\"state\",\"unlock_time\",\"expire_time\",\"generation\"}")]
pub struct Arguments {
    /// The software certificate, a PKCS#12 file
    #[arg(value_name = "FILE.p12")]
    file: PathBuf,
    /// Fail unless the certificate is this user's; --as says the same
    #[arg(long, value_name = "UID")]
    user: Option<UserName>,
    /// Read the passphrase from a file; one line break at its end does not count
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_fd", "prompt"])]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase from an inherited descriptor
    #[arg(long, value_name = "N", conflicts_with = "prompt")]
    passphrase_fd: Option<u32>,
    /// Let the agent ask, through its pinentry program
    #[arg(long)]
    prompt: bool,
    /// Send the passphrase through the broker instead of past it, for places without descriptor passing
    #[arg(long, conflicts_with = "prompt")]
    inline: bool,
}

/// How the secret gets to the vault.
enum Way {
    Descriptor(OwnedFd),
    Direct(v1::secret::Source),
}

life_sys::secret_types!(Way);

/// Runs the verb.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let pkcs12 = Input::open(&arguments.file).await?.read_all(PKCS12_LIMIT, "a software certificate").await?;
    let connection = context.connect().await?;
    let way = if arguments.prompt {
        Way::Direct(v1::secret::Source::Prompt(prompt_source()))
    } else {
        let source = Source::new(arguments.passphrase_file, arguments.passphrase_fd);
        let question = format!("Passphrase of {}: ", arguments.file.display());
        way(source.read(&question).await?, arguments.inline)?
    };
    let user = arguments.user.as_ref().or(context.named_user()).map(UserName::name).unwrap_or_default();
    let name = arguments.file.to_string_lossy().into_owned();
    let identity = unlock(connection.credentials(), user, name, pkcs12, way).await?;
    context.output.answer(&Identity::from(identity))
}

/// Unlocks with a passphrase that waits in a pipe.
pub async fn unlock_with(
    credentials: Credentials,
    user: String,
    pkcs12: bytes::Bytes,
    pipe: OwnedFd,
) -> Result<v1::UnlockedIdentity, Error> {
    unlock(credentials, user, String::new(), pkcs12, Way::Descriptor(pipe)).await
}

type Credentials = v1::credentials_client::CredentialsClient<crate::connection::Transport>;

fn way(passphrase: SecretBytes, inline: bool) -> Result<Way, Error> {
    if inline {
        // EXPOSE: into the request, because the caller insists.
        return Ok(Way::Direct(v1::secret::Source::Inline(passphrase.expose().to_vec())));
    }
    Ok(Way::Descriptor(descriptor::pipe_with_secret(&passphrase)?))
}

async fn unlock(
    mut credentials: Credentials,
    user: String,
    file_name: String,
    pkcs12: bytes::Bytes,
    way: Way,
) -> Result<v1::UnlockedIdentity, Error> {
    let (source, mut pipe) = match way {
        Way::Descriptor(pipe) => (v1::secret::Source::Descriptor(v1::DescriptorSource {}), Some(pipe)),
        Way::Direct(source) => (source, None),
    };
    let certificate = v1::SoftwareCertificate { pkcs12, file_name };
    let request = v1::UnlockRequest {
        user,
        credential: Some(v1::unlock_request::Credential::SoftwareCertificate(certificate)),
        secret: Some(v1::Secret { source: Some(source) }),
    };
    let mut steps = credentials.unlock(request).await?.into_inner();
    while let Some(response) = steps.message().await? {
        match response.step {
            Some(Step::Identity(identity)) => return Ok(identity),
            Some(Step::Ticket(ticket)) => {
                let pipe = pipe.take().ok_or_else(|| Error::Software("a second ticket".into()))?;
                descriptor::hand_over(ticket, pipe).await?;
            }
            None => {}
        }
    }
    Err(Error::Software("the agent ended the unlock without a result".into()))
}

/// Where a prompt may appear.
pub fn prompt_source() -> v1::PromptSource {
    let display = ["WAYLAND_DISPLAY", "DISPLAY"].into_iter().find_map(|name| env::var(name).ok());
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let standard = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    let terminal = standard.into_iter().find_map(|fd| rustix::termios::ttyname(fd, Vec::new()).ok());
    v1::PromptSource {
        display: display.unwrap_or_default(),
        terminal: terminal.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
    }
}
