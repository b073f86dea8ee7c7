//! The service Accounts.

use std::sync::Arc;

use life_pki::account_log::{self, AccountState};
use life_pki::{CredentialKind, ParticipantKind};
use life_proto::v1::{
    self, Credential, GetUserRequest, ListCredentialsRequest, ListCredentialsResponse, RegisterUserRequest,
    RegisterUserResponse, User, accounts_server, new_software_certificate::KeyAlgorithm,
    register_user_request, register_user_response::Step,
};
use life_vault_protocol::WorkingKeyAlgorithm;
use tonic::{Request, Response, Status};

use super::streams::{Answers, answer, call};
use crate::agent::Agent;
use crate::clock;
use crate::connections::Caller;
use crate::error::{Error, Result};
use crate::identities::Identity;
use crate::names;
use crate::platform::{Origin, parse_fingerprint};
use crate::registration::{self, NewPassphrase, NewUser};
use crate::secrets::AskedNew;

/// The service Accounts.
pub struct Accounts(pub Arc<Agent>);

/// A participant's kind, as the contract writes it.
pub fn participant_kind(kind: ParticipantKind) -> v1::ParticipantKind {
    match kind {
        ParticipantKind::HealthCareProfessional => v1::ParticipantKind::HealthCareProfessional,
        ParticipantKind::Institution => v1::ParticipantKind::Institution,
        ParticipantKind::Patient => v1::ParticipantKind::Patient,
    }
}

fn credential_kind(kind: CredentialKind) -> v1::CredentialKind {
    match kind {
        CredentialKind::AccessToken => v1::CredentialKind::AccessToken,
        CredentialKind::LifeKey => v1::CredentialKind::LifeKey,
        CredentialKind::SmartCard => v1::CredentialKind::SmartCard,
        CredentialKind::SoftwareCertificate => v1::CredentialKind::SoftwareCertificate,
        CredentialKind::SuperPin => v1::CredentialKind::SuperPin,
    }
}

/// An account, as the contract writes it.
fn user(account: &AccountState) -> User {
    User {
        name: names::user(&account.uid()),
        uid: account.uid().to_string(),
        kind: participant_kind(account.kind()).into(),
        create_time: account.credentials().first().map(|first| clock::wire(first.added.time)),
        generation: account.current_root().generation,
        fingerprint: account_log::fingerprint(&account.genesis()),
        log_length: account.length(),
    }
}

impl Accounts {
    /// Reads the account of an unlocked user anew, and checks its log against the pins.
    async fn own_account(&self, field: &'static str, name: &str) -> Result<AccountState> {
        let identity: Arc<Identity> = self.0.identities.select(Some(names::parse_user(field, name)?))?;
        let reading = async {
            let me = identity.client.me().await?;
            identity.directory.check_own(&me.log).await
        };
        identity.run(reading).await
    }
}

/// A platform that a request names: its origin and the fingerprint of its bundle.
type Named = (Origin, [u8; 32]);

/// Reads a registration request; an inline passphrase is wiped whatever comes of it.
fn new_user(request: RegisterUserRequest) -> Result<(NewUser, AskedNew, Option<Named>)> {
    let Some(register_user_request::Credential::SoftwareCertificate(credential)) = request.credential else {
        return Err(Error::field("credential", "is missing"));
    };
    let asked = AskedNew::of(credential.secret)
        .ok_or_else(|| Error::field("software_certificate.secret", "is missing"))?;
    let kind = match v1::ParticipantKind::try_from(request.kind) {
        Ok(v1::ParticipantKind::HealthCareProfessional) => ParticipantKind::HealthCareProfessional,
        Ok(v1::ParticipantKind::Institution) => ParticipantKind::Institution,
        Ok(v1::ParticipantKind::Patient) => ParticipantKind::Patient,
        Ok(v1::ParticipantKind::Unspecified) | Err(_) => {
            return Err(Error::field("kind", "is missing or unknown"));
        }
    };
    let algorithm = match KeyAlgorithm::try_from(credential.key_algorithm) {
        Ok(KeyAlgorithm::Unspecified | KeyAlgorithm::Rsa3072) => WorkingKeyAlgorithm::Rsa3072,
        Ok(KeyAlgorithm::P256) => WorkingKeyAlgorithm::P256,
        Err(_) => return Err(Error::field("software_certificate.key_algorithm", "is not a known value")),
    };
    let platform = match (request.platform_origin.as_str(), request.ca_fingerprint.as_str()) {
        ("", "") => None,
        (origin, fingerprint) => Some((
            Origin::parse(origin)
                .ok_or_else(|| Error::field("platform_origin", "is not of the form https://host[:port]"))?,
            parse_fingerprint(fingerprint)
                .ok_or_else(|| Error::field("ca_fingerprint", "has not 64 hexadecimal digits"))?,
        )),
    };
    let registration = Some(request.registration).filter(|id| !id.is_empty());
    Ok((NewUser { kind, algorithm, registration }, asked, platform))
}

#[tonic::async_trait]
impl accounts_server::Accounts for Accounts {
    type RegisterUserStream = Answers<RegisterUserResponse>;

    async fn register_user(
        &self,
        request: Request<RegisterUserRequest>,
    ) -> Result<Response<Self::RegisterUserStream>, Status> {
        let (call, caller) = (call(&request), request.extensions().get::<Caller>().cloned());
        let (new, asked, platform) = new_user(request.into_inner())?;
        let agent = self.0.clone();
        let stall = agent.config().limits.stall_seconds.duration();
        Ok(answer(call, stall, move |out| async move {
            let tell = |ticket| out.send(RegisterUserResponse { step: Some(Step::Ticket(ticket)) });
            let passphrase = NewPassphrase { asked, caller: caller.as_deref() };
            let registered = registration::register(&agent, new, passphrase, platform, tell).await?;
            let registered = v1::RegisteredUser {
                user: Some(user(&registered.account)),
                pkcs12: registered.pkcs12.to_vec().into(),
            };
            out.send(RegisterUserResponse { step: Some(Step::Registered(registered)) }).await
        }))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        let account = self.own_account("name", &request.get_ref().name).await?;
        Ok(Response::new(user(&account)))
    }

    async fn list_credentials(
        &self,
        request: Request<ListCredentialsRequest>,
    ) -> Result<Response<ListCredentialsResponse>, Status> {
        let account = self.own_account("parent", &request.get_ref().parent).await?;
        let credentials = account
            .credentials()
            .iter()
            .map(|record| Credential {
                name: names::credential(&account.uid(), &record.keys.id.0),
                kind: credential_kind(record.keys.kind).into(),
                live: record.is_live(),
                create_time: Some(clock::wire(record.added.time)),
                revoke_time: record.revoked.map(|revoked| clock::wire(revoked.time)),
            })
            .collect();
        Ok(Response::new(ListCredentialsResponse { credentials }))
    }
}
