//! The service Credentials.

use std::sync::Arc;

use life_pki::Uid;
use life_proto::v1::{
    self, ListUnlockedRequest, ListUnlockedResponse, LockCredentialRequest, LockCredentialResponse,
    UnlockRequest, UnlockResponse, credentials_server, secret::Source, unlock_request, unlock_response::Step,
};
use life_sys::secret::SecretBytes;
use life_vault_protocol::{Prompt, SecretSource};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use super::streams::{Answers, Out, answer, call};
use crate::agent::Agent;
use crate::config::InlineSecrets;
use crate::connections::Caller;
use crate::error::{Error, Fault, Result};
use crate::names;
use crate::prompt;
use crate::unlock::{self, SoftwareCertificate};

/// The largest PKCS#12 file.
const PKCS12_LIMIT: usize = 64 * 1024;
/// The longest secret.
const SECRET_LIMIT: usize = 1024;

/// The service Credentials.
pub struct Credentials(pub Arc<Agent>);

#[tonic::async_trait]
impl credentials_server::Credentials for Credentials {
    type UnlockStream = Answers<UnlockResponse>;

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<Self::UnlockStream>, Status> {
        // A locking from here on counts.
        let began = self.0.identities.epoch();
        let call = call(&request);
        let asker = asker(&request);
        let request = request.into_inner();
        // Wrapped first, so that whatever follows wipes an inline secret.
        let source = request.secret.and_then(|secret| secret.source).map(|source| match source {
            Source::Inline(bytes) => Asked::Inline(SecretBytes::new(bytes)),
            Source::Prompt(place) => Asked::Prompt(place),
            Source::Descriptor(_) => Asked::Descriptor,
        });
        let expected = names::parse_optional_user("user", &request.user)?;
        let pkcs12 = match request.credential {
            Some(unlock_request::Credential::SoftwareCertificate(file)) => file.pkcs12,
            None => return Err(Error::field("credential", "is missing").into()),
        };
        if pkcs12.len() > PKCS12_LIMIT {
            let why = "the PKCS#12 file has more than 64 KiB";
            return Err(Status::from(Fault::CredentialDamaged.because(why)));
        }
        let source = source.ok_or_else(|| Error::field("secret", "is missing"))?;
        let agent = self.0.clone();
        let stall = agent.config().limits.stall_seconds.duration();
        Ok(answer(call, stall, move |out| async move {
            let (secret, descriptors, _pinentry) = ready(&agent, source, expected, &asker, &out).await?;
            let credential =
                SoftwareCertificate { pkcs12: pkcs12.to_vec(), secret, descriptors, expected, began };
            let identity = unlock::software_certificate(&agent, credential).await?;
            out.send(UnlockResponse { step: Some(Step::Identity(identity.to_wire())) }).await
        }))
    }

    async fn lock(
        &self,
        request: Request<LockCredentialRequest>,
    ) -> Result<Response<LockCredentialResponse>, Status> {
        let uid = names::parse_user("user", &request.get_ref().user)?;
        self.0.tickets.void(Some(uid));
        let was_unlocked = self.0.identities.lock(uid, v1::locked::Cause::Requested).await?;
        Ok(Response::new(LockCredentialResponse { was_unlocked }))
    }

    async fn list_unlocked(
        &self,
        _: Request<ListUnlockedRequest>,
    ) -> Result<Response<ListUnlockedResponse>, Status> {
        let identities = self.0.identities.list().iter().map(|identity| identity.to_wire()).collect();
        Ok(Response::new(ListUnlockedResponse { identities }))
    }
}

/// Where a secret is to come from.
enum Asked {
    Descriptor,
    Inline(SecretBytes),
    Prompt(v1::PromptSource),
}

type Ready = (SecretSource, Vec<std::os::fd::OwnedFd>, Option<(prompt::Pinentry, OwnedSemaphorePermit)>);

/// Makes the source ready for the vault: a started prompt, a descriptor that came with its ticket.
async fn ready(
    agent: &Agent,
    source: Asked,
    expected: Option<Uid>,
    asker: &str,
    out: &Out<UnlockResponse>,
) -> Result<Ready> {
    let config = agent.config();
    let seconds = |duration: std::time::Duration| u16::try_from(duration.as_secs()).unwrap_or(u16::MAX);
    match source {
        Asked::Inline(_) if config.unlock.inline_secrets == InlineSecrets::Forbid => {
            Err(Fault::SecretSourceForbidden.into())
        }
        Asked::Inline(secret) if secret.is_empty() || secret.len() > SECRET_LIMIT => {
            Err(Error::field("secret.inline", "has not 1 to 1024 bytes"))
        }
        Asked::Inline(secret) => Ok((SecretSource::Inline(secret), Vec::new(), None)),
        Asked::Prompt(place) => {
            // A person sees one prompt at a time, whoever asks; the others wait their turn.
            let turn = agent.prompts.clone().acquire_owned().await.map_err(Error::internal)?;
            let mut pinentry = prompt::start(config.unlock.pinentry.as_deref(), &place)?;
            let pipes = std::mem::take(&mut pinentry.pipes);
            let prompt = Prompt {
                description: format!("The LIFE agent opens a software certificate.\nAsked for by {asker}."),
                label: "Passphrase:".to_owned(),
                timeout_seconds: seconds(config.unlock.prompt_seconds.duration()),
            };
            Ok((SecretSource::Prompt(prompt), pipes, Some((pinentry, turn))))
        }
        Asked::Descriptor => {
            let lifetime = config.unlock.ticket_seconds.duration();
            let ticket = agent.tickets.issue(lifetime, expected)?;
            let told = v1::DescriptorTicket {
                ticket: ticket.bytes().to_vec().into(),
                socket: agent.tickets.socket().to_string_lossy().into_owned(),
                expire_time: Some(ticket.expires.into()),
            };
            out.send(UnlockResponse { step: Some(Step::Ticket(told)) }).await?;
            let descriptor = ticket.descriptor().await?;
            Ok((SecretSource::Descriptor { timeout_seconds: seconds(lifetime) }, vec![descriptor], None))
        }
    }
}

/// Who asks, for a prompt: the program and process, as the kernel knew them when they connected.
fn asker<T>(request: &Request<T>) -> String {
    let unknown = || "an unknown program".to_owned();
    let Some(caller) = request.extensions().get::<Caller>() else { return unknown() };
    let program = caller.executable.as_ref().map(|path| prompt::harmless(&path.to_string_lossy()));
    format!("{} (process {})", program.unwrap_or_else(unknown), caller.pid)
}
