//! How the passphrase of a new software certificate gets to the vault, or from it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use clap::Args;
use life_proto::v1::{self, new_secret::Source as Wire};

use super::unlock::prompt_source;
use crate::descriptor::{pipe_for_secret, pipe_with_secret, secret_of};
use crate::error::Error;
use crate::passphrase::{New, Source};
use crate::terminal::Terminal;

/// The options that say where it comes from; asked for on the terminal without any.
#[derive(Args, Debug)]
pub struct Passphrase {
    /// Read the passphrase that will protect the file from a file; at least 12 bytes
    #[arg(long, value_name = "FILE", conflicts_with_all = ["passphrase_fd", "generate_passphrase", "prompt"])]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase from an inherited descriptor
    #[arg(long, value_name = "N", conflicts_with_all = ["generate_passphrase", "prompt"])]
    passphrase_fd: Option<u32>,
    /// Have the vault make a strong passphrase, and show it once on the terminal
    #[arg(long, conflicts_with = "prompt")]
    generate_passphrase: bool,
    /// Let the agent ask, through its pinentry program
    #[arg(long)]
    prompt: bool,
    /// Send the passphrase through the broker instead of past it, for places without descriptor passing
    #[arg(long, conflicts_with_all = ["generate_passphrase", "prompt"])]
    inline: bool,
}

/// How it gets to the vault.
pub enum Way {
    /// Through a pipe that holds it.
    Descriptor {
        /// The pipe.
        pipe: OwnedFd,
        /// Whether it stands there twice.
        twice: bool,
    },
    /// The vault makes it, and writes it here.
    Generated(OwnedFd),
    /// The person types it twice, once the agent wants it.
    Typed,
    /// Directly.
    Direct(Wire),
}

life_sys::secret_types!(Way);

impl Way {
    /// What the request says, and what goes with its ticket.
    pub fn source(self) -> (Wire, WithTicket) {
        let descriptor = |twice| Wire::Descriptor(v1::NewDescriptorSource { twice });
        match self {
            Self::Descriptor { pipe, twice } => (descriptor(twice), WithTicket::Given(pipe)),
            Self::Generated(pipe) => (Wire::Generated(v1::GeneratedSource {}), WithTicket::Given(pipe)),
            Self::Typed => (descriptor(true), WithTicket::Typed),
            Self::Direct(source) => (source, WithTicket::Nothing),
        }
    }
}

/// What goes with a ticket.
pub enum WithTicket {
    /// This.
    Given(OwnedFd),
    /// Nothing: none is to come, or it has come.
    Nothing,
    /// What the person then types.
    Typed,
}

impl WithTicket {
    /// The descriptor, when the agent asks for it.
    ///
    /// Fails with [`Error::Software`] for a ticket that nobody asked for, and as the terminal does.
    pub async fn descriptor(&mut self) -> Result<OwnedFd, Error> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Given(descriptor) => Ok(descriptor),
            Self::Nothing => Err(Error::Software("a ticket nobody asked for".into())),
            Self::Typed => match Source::Terminal.read_new(QUESTION).await? {
                New::Once(secret) | New::Twice(secret) => pipe_with_secret(&secret),
            },
        }
    }

    /// Whether there is something that the agent did not ask for.
    pub fn is_left(&self) -> bool {
        matches!(self, Self::Given(_))
    }
}

const QUESTION: &str = "New passphrase, 12 bytes or more: ";

/// A passphrase that the vault makes, and where it will be shown.
pub struct Shown {
    reader: OwnedFd,
    terminal: Terminal,
}

impl Shown {
    /// Shows it, once. An earlier call may have begun this registration: then its passphrase counts, and there is none here.
    pub async fn show(self) -> Result<(), Error> {
        match secret_of(&self.reader) {
            Some(secret) => {
                let what = "The passphrase of the software certificate, shown this once:";
                self.terminal.show_once(what, secret).await
            }
            None => Ok(()),
        }
    }
}

impl Passphrase {
    /// Gets the passphrase, or ready for the vault's; nothing is asked for then. Where a registration goes on, which may have
    /// its passphrase, a person is asked only when the agent wants one.
    pub async fn way(self, goes_on: bool) -> Result<(Way, Option<Shown>), Error> {
        if self.generate_passphrase {
            let nobody = |_| {
                Error::Usage("there is no terminal to show the passphrase on: choose one yourself".into())
            };
            let terminal = Terminal::open().map_err(nobody)?;
            let (reader, writer) = pipe_for_secret()?;
            return Ok((Way::Generated(writer), Some(Shown { reader, terminal })));
        }
        if self.prompt {
            return Ok((Way::Direct(Wire::Prompt(prompt_source())), None));
        }
        let source = Source::new(self.passphrase_file, self.passphrase_fd);
        if goes_on && !self.inline && matches!(source, Source::Terminal) {
            return Ok((Way::Typed, None));
        }
        let new = source.read_new(QUESTION).await?;
        let way = match (&new, self.inline) {
            (New::Once(secret), false) => Way::Descriptor { pipe: pipe_with_secret(secret)?, twice: false },
            (New::Twice(secret), false) => Way::Descriptor { pipe: pipe_with_secret(secret)?, twice: true },
            // EXPOSE: into the request, because the caller insists.
            (New::Once(secret), true) => Way::Direct(Wire::Inline(secret.expose().to_vec())),
            (New::Twice(_), true) => {
                let why = "--inline takes the passphrase from a file or descriptor: what is typed goes past the broker";
                return Err(Error::Usage(why.into()));
            }
        };
        Ok((way, None))
    }
}
