//! Registered users, and the small talk of tests.

use life_proto::v1;
use life_proto::v1::unlock_response::Step;
use tonic::Status;
use tonic_types::StatusExt;

use crate::agent::Clients;

/// A registered user with the means to unlock.
#[derive(Clone)]
pub struct User {
    /// `users/{uid}`.
    pub name: String,
    /// The software certificate.
    pub pkcs12: Vec<u8>,
    /// Its passphrase.
    pub passphrase: Vec<u8>,
}

impl User {
    /// Registers a user with P-256 working keys, which are quick to make.
    pub async fn register(clients: &mut Clients, kind: v1::ParticipantKind) -> Self {
        Self::register_with(clients, kind, v1::new_software_certificate::KeyAlgorithm::P256).await
    }

    /// Registers a user with keys of an algorithm.
    pub async fn register_with(
        clients: &mut Clients,
        kind: v1::ParticipantKind,
        algorithm: v1::new_software_certificate::KeyAlgorithm,
    ) -> Self {
        let passphrase = b"quiet-granite-harbour-%7731".to_vec();
        let request = v1::RegisterUserRequest {
            kind: kind.into(),
            credential: Some(v1::register_user_request::Credential::SoftwareCertificate(
                v1::NewSoftwareCertificate {
                    passphrase: passphrase.clone(),
                    key_algorithm: algorithm.into(),
                },
            )),
            ..Default::default()
        };
        let answer = clients.accounts.register_user(request).await.unwrap().into_inner();
        Self { name: answer.user.unwrap().name, pkcs12: answer.pkcs12.to_vec(), passphrase }
    }

    /// The request that unlocks with an inline passphrase.
    #[must_use]
    pub fn unlock_request(&self) -> v1::UnlockRequest {
        v1::UnlockRequest {
            user: String::new(),
            credential: Some(v1::unlock_request::Credential::SoftwareCertificate(v1::SoftwareCertificate {
                pkcs12: self.pkcs12.clone().into(),
            })),
            secret: Some(v1::Secret { source: Some(v1::secret::Source::Inline(self.passphrase.clone())) }),
        }
    }

    /// Unlocks.
    pub async fn unlock(&self, clients: &mut Clients) -> v1::UnlockedIdentity {
        unlock(clients, self.unlock_request()).await.unwrap()
    }

    /// Registers and unlocks.
    pub async fn ready(clients: &mut Clients, kind: v1::ParticipantKind) -> Self {
        let user = Self::register(clients, kind).await;
        user.unlock(clients).await;
        user
    }

    /// The UID without `users/`.
    #[must_use]
    pub fn uid(&self) -> &str {
        self.name.strip_prefix("users/").unwrap()
    }
}

/// Unlocks and waits for the identity.
///
/// # Errors
/// The status of the call.
pub async fn unlock(
    clients: &mut Clients,
    request: v1::UnlockRequest,
) -> Result<v1::UnlockedIdentity, Status> {
    let mut answers = clients.credentials.unlock(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        if let Some(Step::Identity(identity)) = answer.step {
            return Ok(identity);
        }
    }
    Err(Status::internal("the unlock ended without an identity"))
}

/// The stable reason of an error.
pub trait Reason {
    /// The reason in its `google.rpc.ErrorInfo`; panics when there is none, because every error has one.
    fn reason(&self) -> String;
}

impl Reason for Status {
    fn reason(&self) -> String {
        let info =
            self.get_details_error_info().unwrap_or_else(|| panic!("an error without reason: {self:?}"));
        assert_eq!(info.domain, life_proto::ERROR_DOMAIN);
        assert!(self.message().len() > 20, "an error that explains nothing: {self:?}");
        info.reason
    }
}

impl<T: std::fmt::Debug> Reason for Result<T, Status> {
    fn reason(&self) -> String {
        match self {
            Ok(answer) => panic!("not refused: {answer:?}"),
            Err(status) => status.reason(),
        }
    }
}
