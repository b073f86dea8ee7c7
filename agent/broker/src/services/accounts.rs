//! The service Accounts.

use std::sync::Arc;

use life_pki::account_log::{self, AccountState};
use life_pki::{CredentialKind, ParticipantKind};
use life_proto::v1::{
    self, Credential, GetUserRequest, ListCredentialsRequest, ListCredentialsResponse, RegisterUserRequest,
    RegisterUserResponse, User, accounts_server, new_software_certificate::KeyAlgorithm,
    register_user_request,
};
use life_sys::secret::SecretBytes;
use life_vault_protocol::WorkingKeyAlgorithm;
use tonic::{Request, Response, Status};

use crate::agent::Agent;
use crate::clock;
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::names;
use crate::platform::{Origin, parse_fingerprint};
use crate::registration::{self, NewUser};

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

/// Reads a registration request; the passphrase is wiped whatever comes of it.
fn new_user(request: RegisterUserRequest) -> Result<(NewUser, SecretBytes, Option<Named>)> {
    let Some(register_user_request::Credential::SoftwareCertificate(credential)) = request.credential else {
        return Err(Error::field("credential", "is missing"));
    };
    let passphrase = SecretBytes::new(credential.passphrase);
    // EXPOSE: looked at, not kept.
    let bytes = passphrase.expose();
    if bytes.len() < 12 {
        return Err(Fault::PassphraseTooShort.into());
    }
    if bytes.len() > 1024 || std::str::from_utf8(bytes).is_err() {
        return Err(Error::field("software_certificate.passphrase", "is not UTF-8 of 12 to 1024 bytes"));
    }
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
    Ok((NewUser { kind, algorithm, registration }, passphrase, platform))
}

#[tonic::async_trait]
impl accounts_server::Accounts for Accounts {
    async fn register_user(
        &self,
        request: Request<RegisterUserRequest>,
    ) -> Result<Response<RegisterUserResponse>, Status> {
        let (new, passphrase, platform) = new_user(request.into_inner())?;
        let registered = registration::register(&self.0, new, passphrase, platform).await?;
        Ok(Response::new(RegisterUserResponse {
            user: Some(user(&registered.account)),
            pkcs12: registered.pkcs12.to_vec().into(),
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
