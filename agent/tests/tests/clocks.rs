//! Clocks that are wrong: an agent whose clock is off says so, with a stable reason, and harms nothing.
//!
//! The agent runs under Debian's `faketime`; the platform keeps the real time.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use life_e2e::agent::Clients;
use life_e2e::{Agent, Platform, Reason, User, users};
use life_proto::v1;
use v1::ParticipantKind;

async fn register(clients: &mut Clients) -> Result<v1::RegisteredUser, tonic::Status> {
    let request = users::registering_with(ParticipantKind::Patient, b"long enough passphrase");
    users::register(clients, request).await
}

#[tokio::test]
async fn a_clock_off_by_a_day_is_told() {
    let platform = Platform::start();
    let right = Agent::start(&platform);
    let mut clients = right.clients().await;
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    for (shift, unlock_reasons) in [
        ("-1d", &["CREDENTIAL_NOT_YET_VALID", "PLATFORM_UNTRUSTED"][..]),
        ("+1d", &["PLATFORM_UNTRUSTED", "PLATFORM_UNAVAILABLE", "PLATFORM_REFUSED", "CREDENTIAL_UNTRUSTED"]),
    ] {
        let mut agent = Agent::prepare(&platform, "");
        agent.shift_clock(shift);
        agent.run();
        let mut clients = agent.clients().await;
        let refused = register(&mut clients).await;
        let status = refused.as_ref().err().unwrap_or_else(|| panic!("{shift}: registered"));
        assert!(status.message().contains("clock"), "{shift}: {}", status.message());
        refused.reason();
        match users::unlock(&mut clients, user.unlock_request()).await {
            // A day ahead, everything may still be valid: then it unlocks.
            Ok(identity) => assert_eq!((shift, identity.user), ("+1d", user.name.clone())),
            Err(status) => {
                let reason = status.reason();
                assert!(unlock_reasons.contains(&reason.as_str()), "{shift}: {reason}: {}", status.message());
            }
        }
    }
    // Nobody was registered meanwhile, and the right agent works on.
    user.unlock(&mut clients).await;
}

#[tokio::test]
async fn a_credential_expires() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let user = User::register(&mut agent.clients().await, ParticipantKind::Patient).await;
    let mut later = Agent::prepare(&platform, "");
    later.shift_clock("+5y");
    later.run();
    let refused = users::unlock(&mut later.clients().await, user.unlock_request()).await;
    assert_eq!(refused.reason(), "CREDENTIAL_EXPIRED");
}

#[tokio::test]
async fn without_a_current_revocation_list_one_opens_and_does_not_sign() {
    let mut platform = Platform::start();
    let mut agent = Agent::prepare(&platform, "[directory]\nrefresh_seconds = 0\n");
    agent.shift_clock("+0");
    agent.run();
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let encrypt = v1::EncryptRequest {
        user: user.name.clone(),
        plaintext: b"finding".to_vec().into(),
        signing: v1::Signing::None.into(),
        ..Default::default()
    };
    let sealed = clients.crypto.encrypt(encrypt).await.unwrap().into_inner().envelope;
    let sign = v1::SignRequest { user: user.name.clone(), content: b"x".to_vec().into(), form: 0 };
    let open = v1::DecryptRequest {
        user: user.name.clone(),
        envelope: sealed,
        accept_unsigned: true,
        ..Default::default()
    };
    // Offline, with a list that is still current: both.
    platform.kill_serve();
    clients.crypto.sign(sign.clone()).await.unwrap();
    clients.crypto.decrypt(open.clone()).await.unwrap();
    // A list is current for seven days.
    agent.move_clock("+8d");
    let refused = clients.crypto.sign(sign.clone()).await;
    assert_eq!(refused.reason(), "PLATFORM_UNAVAILABLE");
    assert!(refused.unwrap_err().message().contains("revocation list"));
    clients.crypto.decrypt(open).await.unwrap();
    // The platform shows its list of today: signing goes on.
    agent.move_clock("+0");
    platform.start_serve();
    clients.crypto.sign(sign).await.unwrap();
}
