//! Where secrets come from, made ready for the vault: inside the request, through a descriptor that comes with a ticket, or
//! from a person at a prompt; and where one goes that the vault makes.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::time::Duration;

use life_pki::Uid;
use life_proto::v1::{self, new_secret, secret};
use life_sys::peer::Peer;
use life_sys::secret::SecretBytes;
use life_vault_protocol::request::MAX_SECRET;
use life_vault_protocol::{Entry, NewSecretSource, Prompt, SecretSource};

use crate::agent::Agent;
use crate::config::InlineSecrets;
use crate::error::{Error, Fault, Result};
use crate::prompt::{self, Pinentry, Place};

/// Where a secret is to come from.
pub enum Asked {
    /// A descriptor that is still to come.
    Descriptor,
    /// The request.
    Inline(SecretBytes),
    /// A person.
    Prompt(v1::PromptSource),
}

life_sys::secret_types!(Asked);

/// Where a new secret is to come from.
pub enum AskedNew {
    /// A descriptor that is still to come.
    Descriptor(Entry),
    /// The vault, which writes it to a descriptor that is still to come.
    Generated,
    /// The request.
    Inline(SecretBytes),
    /// A person.
    Prompt(v1::PromptSource),
}

life_sys::secret_types!(AskedNew);

impl Asked {
    /// Takes a request's secret: an inline one is wiped whatever follows.
    pub fn of(secret: Option<v1::Secret>) -> Option<Self> {
        secret.and_then(|secret| secret.source).map(|source| match source {
            secret::Source::Inline(bytes) => Self::Inline(SecretBytes::new(bytes)),
            secret::Source::Prompt(place) => Self::Prompt(place),
            secret::Source::Descriptor(_) => Self::Descriptor,
        })
    }
}

impl AskedNew {
    /// Takes a request's new secret: an inline one is wiped whatever follows.
    pub fn of(secret: Option<v1::NewSecret>) -> Option<Self> {
        secret.and_then(|secret| secret.source).map(|source| match source {
            new_secret::Source::Inline(bytes) => Self::Inline(SecretBytes::new(bytes)),
            new_secret::Source::Prompt(place) => Self::Prompt(place),
            new_secret::Source::Descriptor(source) if source.twice => Self::Descriptor(Entry::Twice),
            new_secret::Source::Descriptor(_) => Self::Descriptor(Entry::Once),
            new_secret::Source::Generated(_) => Self::Generated,
        })
    }
}

/// A call that wants a secret.
pub struct Want<'a> {
    /// The agent.
    pub agent: &'a Agent,
    /// Who asks, as the kernel knew it when it connected.
    pub caller: Option<&'a Peer>,
    /// The user it is for, where that is known.
    pub uid: Option<Uid>,
}

/// A source that is ready for the vault, with its descriptors, and the prompt that has to stay open meanwhile.
pub struct Ready<S> {
    source: S,
    descriptors: Vec<OwnedFd>,
    open: Option<Pinentry>,
}

impl<S> Ready<S> {
    fn new(source: S, descriptors: Vec<OwnedFd>) -> Self {
        Self { source, descriptors, open: None }
    }

    /// Gives the source to the vault; the prompt closes when the vault has answered.
    ///
    /// # Errors
    /// PROMPT_CANCELLED as soon as the user is locked; else what `ask` gives.
    pub async fn give<T, F>(self, ask: impl FnOnce(S, Vec<OwnedFd>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let asked = ask(self.source, self.descriptors);
        match &self.open {
            Some(pinentry) => pinentry.run(asked).await,
            None => asked.await,
        }
    }
}

impl Want<'_> {
    /// Makes the secret of a software certificate ready; `file` is how the caller calls it. A ticket is told to the caller by
    /// `tell`.
    ///
    /// # Errors
    /// SECRET_SOURCE_FORBIDDEN, SECRET_TIMEOUT, PROMPT_UNAVAILABLE, PROMPT_CANCELLED, RESOURCE_EXHAUSTED, INVALID_ARGUMENT.
    pub async fn known<F>(
        &self,
        asked: Asked,
        file: &str,
        tell: impl FnOnce(v1::DescriptorTicket) -> F,
    ) -> Result<Ready<SecretSource>>
    where
        F: Future<Output = Result<()>>,
    {
        match asked {
            Asked::Inline(secret) => {
                self.allow_inline()?;
                if secret.is_empty() || secret.len() > MAX_SECRET {
                    return Err(Error::field("secret.inline", "has not 1 to 1024 bytes"));
                }
                Ok(Ready::new(SecretSource::Inline(secret), Vec::new()))
            }
            Asked::Descriptor => {
                let (descriptor, timeout_seconds) = self.descriptor(tell).await?;
                Ok(Ready::new(SecretSource::Descriptor { timeout_seconds }, vec![descriptor]))
            }
            Asked::Prompt(place) => {
                let say =
                    |asker: &str, time| prompt::text::open_software_certificate(asker, self.uid, file, time);
                self.prompt(place, "Passphrase:", say, SecretSource::Prompt).await
            }
        }
    }

    /// Makes the secret of a software certificate to be ready, as [`Want::known`].
    ///
    /// # Errors
    /// As [`Want::known`].
    pub async fn to_be<F>(
        &self,
        asked: AskedNew,
        tell: impl FnOnce(v1::DescriptorTicket) -> F,
    ) -> Result<Ready<NewSecretSource>>
    where
        F: Future<Output = Result<()>>,
    {
        match asked {
            AskedNew::Inline(secret) => {
                self.allow_inline()?;
                // What else a new secret has to be the vault says, whatever way it comes.
                if secret.len() > MAX_SECRET {
                    return Err(Error::field("secret.inline", "has more than 1024 bytes"));
                }
                Ok(Ready::new(NewSecretSource::Inline(secret), Vec::new()))
            }
            AskedNew::Descriptor(entry) => {
                let (descriptor, timeout_seconds) = self.descriptor(tell).await?;
                Ok(Ready::new(NewSecretSource::Descriptor { timeout_seconds, entry }, vec![descriptor]))
            }
            AskedNew::Generated => {
                let (descriptor, _) = self.descriptor(tell).await?;
                Ok(Ready::new(NewSecretSource::Generated, vec![descriptor]))
            }
            AskedNew::Prompt(place) => {
                let say = prompt::text::new_software_certificate;
                self.prompt(place, "New passphrase:", say, NewSecretSource::Prompt).await
            }
        }
    }

    fn allow_inline(&self) -> Result<()> {
        match self.agent.config().unlock.inline_secrets {
            InlineSecrets::Allow => Ok(()),
            InlineSecrets::Forbid => Err(Fault::SecretSourceForbidden.into()),
        }
    }

    /// Issues a ticket and waits for what comes with it; says how many seconds its other end has.
    async fn descriptor<F>(&self, tell: impl FnOnce(v1::DescriptorTicket) -> F) -> Result<(OwnedFd, u16)>
    where
        F: Future<Output = Result<()>>,
    {
        let tickets = &self.agent.tickets;
        let lifetime = self.agent.config().unlock.ticket_seconds.duration();
        let ticket = tickets.issue(lifetime, self.uid)?;
        let told = v1::DescriptorTicket {
            ticket: ticket.bytes().to_vec().into(),
            socket: tickets.socket().to_string_lossy().into_owned(),
            expire_time: Some(ticket.expires.into()),
        };
        tell(told).await?;
        Ok((ticket.descriptor().await?, seconds(lifetime)))
    }

    /// Opens a prompt when its turn has come.
    async fn prompt<S>(
        &self,
        place: v1::PromptSource,
        label: &str,
        say: impl FnOnce(&str, Duration) -> String,
        source: impl FnOnce(Prompt) -> S,
    ) -> Result<Ready<S>> {
        let unlock = &self.agent.config().unlock;
        let mut queued = self.agent.prompts.queue(self.uid)?;
        queued.turn().await?;
        // Only now: whoever waits its turn may have another terminal by then.
        let place = Place::of(&place, self.caller)?;
        let program = unlock.pinentry.as_deref();
        let mut pinentry = prompt::start(&self.agent.starter, program, place, queued).await?;
        let time = unlock.prompt_seconds.duration();
        let prompt = Prompt {
            description: say(&prompt::text::asker(self.caller), time),
            label: label.to_owned(),
            timeout_seconds: seconds(time),
        };
        let descriptors = std::mem::take(&mut pinentry.pipes);
        Ok(Ready { source: source(prompt), descriptors, open: Some(pinentry) })
    }
}

fn seconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_secs()).unwrap_or(u16::MAX)
}
