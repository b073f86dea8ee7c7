//! The service Credentials.

use std::sync::Arc;

use life_proto::v1::{
    self, ListCardsRequest, ListCardsResponse, ListUnlockedRequest, ListUnlockedResponse,
    LockCredentialRequest, LockCredentialResponse, UnlockRequest, UnlockResponse, credentials_server,
    unlock_request, unlock_response::Step,
};
use tonic::{Request, Response, Status};

use super::cards;
use super::streams::{Answers, answer, call};
use crate::agent::Agent;
use crate::connections::Caller;
use crate::error::{Error, Fault};
use crate::names;
use crate::secrets::{Asked, Want};
use crate::unlock::{self, SoftwareCertificate};

/// The largest PKCS#12 file.
const PKCS12_LIMIT: usize = 64 * 1024;
/// The longest name of a file.
const FILE_NAME_LIMIT: usize = 4096;

/// The service Credentials.
pub struct Credentials(pub Arc<Agent>);

#[tonic::async_trait]
impl credentials_server::Credentials for Credentials {
    type UnlockStream = Answers<UnlockResponse>;

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<Self::UnlockStream>, Status> {
        // A locking from here on counts.
        let began = self.0.identities.epoch();
        let call = call(&request);
        let caller = request.extensions().get::<Caller>().cloned();
        let request = request.into_inner();
        // Wrapped first, so that whatever follows wipes an inline secret.
        let asked = Asked::of(request.secret);
        let expected = names::parse_optional_user("user", &request.user)?;
        let unlocking = self.0.identities.unlockings.begin(expected);
        let file = match request.credential {
            Some(unlock_request::Credential::SoftwareCertificate(file)) => file,
            None => return Err(Error::field("credential", "is missing").into()),
        };
        if file.pkcs12.len() > PKCS12_LIMIT {
            let why = "the PKCS#12 file has more than 64 KiB";
            return Err(Status::from(Fault::CredentialDamaged.because(why)));
        }
        if file.file_name.len() > FILE_NAME_LIMIT {
            return Err(Error::field("software_certificate.file_name", "has more than 4096 bytes").into());
        }
        let asked = asked.ok_or_else(|| Error::field("secret", "is missing"))?;
        let agent = self.0.clone();
        let stall = agent.config().limits.stall_seconds.duration();
        Ok(answer(call, stall, move |out| async move {
            let tell = |ticket| out.send(UnlockResponse { step: Some(Step::Ticket(ticket)) });
            let want = Want { agent: &agent, caller: caller.as_deref(), uid: expected };
            let secret = unlocking.run(want.known(asked, &file.file_name, tell)).await?;
            let pkcs12 = file.pkcs12.to_vec();
            let credential = SoftwareCertificate { pkcs12, secret, expected, began, unlocking };
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
        self.0.prompts.void(Some(uid));
        let was_unlocked = self.0.identities.forget(uid, v1::locked::Cause::Requested);
        // What is open, or about to be, whether or not its call has noticed.
        self.0.vault.lock_user(uid).await?;
        Ok(Response::new(LockCredentialResponse { was_unlocked }))
    }

    async fn list_unlocked(
        &self,
        _: Request<ListUnlockedRequest>,
    ) -> Result<Response<ListUnlockedResponse>, Status> {
        let identities = self.0.identities.list().iter().map(|identity| identity.to_wire()).collect();
        Ok(Response::new(ListUnlockedResponse { identities }))
    }

    async fn list_cards(&self, _: Request<ListCardsRequest>) -> Result<Response<ListCardsResponse>, Status> {
        let found = self.0.vault.cards().await?;
        let service_available = found.is_some();
        let readers = found.into_iter().flatten().map(cards::to_wire).collect();
        Ok(Response::new(ListCardsResponse { service_available, readers }))
    }
}
