//! Registration where a registrar has to approve: the call says so, and goes on once it is decided.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use life_e2e::agent::Clients;
use life_e2e::{Agent, Platform, Reason, User, users};
use life_proto::v1::{self, ParticipantKind};
use tonic::Status;
use tonic_types::StatusExt;

const PASSPHRASE: &[u8] = b"quiet-granite-harbour-%7731";

async fn register(
    clients: &mut Clients,
    kind: ParticipantKind,
    registration: &str,
    passphrase: &[u8],
) -> Result<v1::RegisteredUser, Status> {
    let request = users::registering_with(kind, passphrase);
    let request = v1::RegisterUserRequest { registration: registration.to_owned(), ..request };
    users::register(clients, request).await
}

/// What a pending registration is called: its name, and the user id the registrar knows it by.
fn pending(refused: &Status) -> (String, String) {
    assert_eq!(refused.reason(), "REGISTRATION_PENDING");
    let metadata = refused.get_details_error_info().unwrap().metadata;
    let uid = metadata["user"].strip_prefix("users/").unwrap().to_owned();
    (metadata["registration"].clone(), uid)
}

#[tokio::test]
async fn an_institution_waits_for_its_registrar() {
    let platform = Platform::start_with(&["--approval", "registrar"]);
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let kind = ParticipantKind::Institution;

    let (registration, uid) = pending(&register(&mut clients, kind, "", PASSPHRASE).await.unwrap_err());
    let again = register(&mut clients, kind, &registration, PASSPHRASE).await.unwrap_err();
    assert_eq!(pending(&again), (registration.clone(), uid.clone()));
    platform.run(&["registrar", "approve", &uid]);
    let registered = register(&mut clients, kind, &registration, PASSPHRASE).await.unwrap();
    let name = registered.user.unwrap().name;
    assert_eq!(name, format!("users/{uid}"));
    let user = User { name, pkcs12: registered.pkcs12.to_vec(), passphrase: PASSPHRASE.to_vec() };
    assert_eq!(user.unlock(&mut clients).await.user, user.name);

    // Over is over: its keys were wiped when the file was made.
    let over = register(&mut clients, kind, &registration, PASSPHRASE).await;
    assert_eq!(over.map(drop).reason(), "INVALID_ARGUMENT");

    let (registration, uid) = pending(&register(&mut clients, kind, "", PASSPHRASE).await.unwrap_err());
    platform.run(&["registrar", "refuse", &uid]);
    let refused = register(&mut clients, kind, &registration, PASSPHRASE).await;
    assert_eq!(refused.map(drop).reason(), "REGISTRATION_REFUSED");
}

#[tokio::test]
async fn bad_registrations_have_reasons() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    for (kind, registration, passphrase, reason) in [
        (ParticipantKind::Unspecified, "", PASSPHRASE, "INVALID_ARGUMENT"),
        (ParticipantKind::Patient, "", b"eleven char", "PASSPHRASE_TOO_SHORT"),
        (ParticipantKind::Patient, "", &[0xff; 20], "INVALID_ARGUMENT"),
        (ParticipantKind::Patient, "", &[b'a'; 1025], "INVALID_ARGUMENT"),
        (ParticipantKind::Patient, "never-begun", PASSPHRASE, "INVALID_ARGUMENT"),
        (ParticipantKind::Patient, "../../platform", PASSPHRASE, "INVALID_ARGUMENT"),
    ] {
        let refused = register(&mut clients, kind, registration, passphrase).await;
        assert_eq!(refused.map(drop).reason(), reason, "{kind:?} {registration}");
    }
    let with_platform = |origin: &str, fingerprint: &str| v1::RegisterUserRequest {
        platform_origin: origin.to_owned(),
        ca_fingerprint: fingerprint.to_owned(),
        ..users::registering_with(ParticipantKind::Patient, PASSPHRASE)
    };
    let other = "00".repeat(32);
    for (origin, fingerprint, reason) in [
        ("http://insecure.example", platform.ca_fingerprint.as_str(), "INVALID_ARGUMENT"),
        (&platform.origin, "", "INVALID_ARGUMENT"),
        (&platform.origin, &other, "PLATFORM_MISMATCH"),
    ] {
        let refused = users::register(&mut clients, with_platform(origin, fingerprint)).await;
        assert_eq!(refused.map(drop).reason(), reason, "{origin} {fingerprint}");
    }
}
