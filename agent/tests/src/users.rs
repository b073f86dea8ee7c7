//! Registered users, and the small talk of tests.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use life_proto::v1;
use life_proto::v1::register_user_request::Credential;
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
        let inline = v1::new_secret::Source::Inline(passphrase.clone());
        let mut request = registering(kind, inline);
        if let Some(Credential::SoftwareCertificate(new)) = &mut request.credential {
            new.key_algorithm = algorithm.into();
        }
        let answer = register(clients, request).await.unwrap();
        Self { name: answer.user.unwrap().name, pkcs12: answer.pkcs12.to_vec(), passphrase }
    }

    /// The request that unlocks with an inline passphrase.
    #[must_use]
    pub fn unlock_request(&self) -> v1::UnlockRequest {
        v1::UnlockRequest {
            user: String::new(),
            credential: Some(v1::unlock_request::Credential::SoftwareCertificate(v1::SoftwareCertificate {
                pkcs12: self.pkcs12.clone().into(),
                file_name: "praxis.p12".to_owned(),
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

/// The request for a user with P-256 working keys and this passphrase.
#[must_use]
pub fn registering(kind: v1::ParticipantKind, passphrase: v1::new_secret::Source) -> v1::RegisterUserRequest {
    let new = v1::NewSoftwareCertificate {
        key_algorithm: v1::new_software_certificate::KeyAlgorithm::P256.into(),
        secret: Some(v1::NewSecret { source: Some(passphrase) }),
    };
    v1::RegisterUserRequest {
        kind: kind.into(),
        credential: Some(Credential::SoftwareCertificate(new)),
        ..Default::default()
    }
}

/// The same with a passphrase inside the request.
#[must_use]
pub fn registering_with(kind: v1::ParticipantKind, passphrase: &[u8]) -> v1::RegisterUserRequest {
    registering(kind, v1::new_secret::Source::Inline(passphrase.to_vec()))
}

/// Registers and waits for the user.
///
/// # Errors
/// The status of the call.
pub async fn register(
    clients: &mut Clients,
    request: v1::RegisterUserRequest,
) -> Result<v1::RegisteredUser, Status> {
    let mut answers = clients.accounts.register_user(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        if let Some(v1::register_user_response::Step::Registered(registered)) = answer.step {
            return Ok(registered);
        }
    }
    Err(Status::internal("the registration ended without a user"))
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

/// Unlocks with a passphrase that goes through a descriptor.
///
/// # Errors
/// The status of the call.
pub async fn unlock_by_descriptor(
    clients: &mut Clients,
    user: &User,
) -> Result<v1::UnlockedIdentity, Status> {
    let source = v1::secret::Source::Descriptor(v1::DescriptorSource {});
    let secret = Some(v1::Secret { source: Some(source) });
    let request = v1::UnlockRequest { secret, ..user.unlock_request() };
    let mut answers = clients.credentials.unlock(request).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        match answer.step.unwrap() {
            Step::Ticket(ticket) => {
                let (reader, mut writer) = std::io::pipe().unwrap();
                writer.write_all(&user.passphrase).unwrap();
                hand_over(&ticket, &reader.into());
            }
            Step::Identity(identity) => return Ok(identity),
        }
    }
    Err(Status::internal("the unlock ended without an identity"))
}

/// Hands a descriptor over, which is taken.
pub fn hand_over(ticket: &v1::DescriptorTicket, descriptor: &OwnedFd) {
    let mut socket = UnixStream::connect(&ticket.socket).unwrap();
    let sent = life_sys::descriptors::send_with_fds(&socket, &ticket.ticket, &[descriptor.as_fd()]);
    assert_eq!(sent.unwrap(), ticket.ticket.len());
    let mut answer = [9];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0], "the ticket was refused");
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
