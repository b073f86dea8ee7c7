//! What the agent knows of others outlives it, and nobody else can write it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use life_e2e::{Agent, Platform, Reason, User, users};
use life_proto::v1::{self, ParticipantKind, TrustState};

#[tokio::test]
async fn pins_outlive_the_agent_and_cannot_be_forged() {
    let platform = Platform::start();
    let mut agent = Agent::start_with(&platform, "[directory]\nrefresh_seconds = 0\n");
    let mut clients = agent.clients().await;
    let reader = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::ready(&mut clients, ParticipantKind::Patient).await;
    let look = v1::LookupUserRequest { name: patient.name.clone(), caller: reader.name.clone() };
    let first = clients.directory.lookup_user(look.clone()).await.unwrap().into_inner().user.unwrap();
    assert_eq!(first.trust(), TrustState::FirstUse);
    let again = clients.directory.lookup_user(look.clone()).await.unwrap().into_inner().user.unwrap();
    assert_eq!(again.trust(), TrustState::Pinned);
    let confirm = v1::ConfirmFingerprintRequest {
        name: patient.name.clone(),
        fingerprint: first.fingerprint.replace(' ', "-"),
        caller: reader.name.clone(),
    };
    clients.directory.confirm_fingerprint(confirm).await.unwrap();

    agent.kill();
    agent.run();
    let mut clients = agent.clients().await;
    reader.unlock(&mut clients).await;
    let later = clients.directory.lookup_user(look).await.unwrap().into_inner().user.unwrap();
    assert_eq!(later.trust(), TrustState::Confirmed);
    assert_eq!(later.first_seen_time, first.first_seen_time);

    // Every byte of the file is under the vault's MAC.
    clients.agent.lock(v1::LockRequest {}).await.unwrap();
    let file = agent.state().join("pins").join(format!("{}.der", reader.uid()));
    let good = std::fs::read(&file).unwrap();
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&file, bad).unwrap();
        let refused = users::unlock(&mut clients, reader.unlock_request()).await;
        assert_eq!(refused.reason(), "STATE_UNUSABLE", "byte {at}");
    }
    // Another user's file is not ours either.
    let other = agent.state().join("pins").join(format!("{}.der", patient.uid()));
    std::fs::copy(other, &file).unwrap();
    assert_eq!(users::unlock(&mut clients, reader.unlock_request()).await.reason(), "STATE_UNUSABLE");
    std::fs::write(&file, good).unwrap();
    reader.unlock(&mut clients).await;
}

/// Two agents of one state folder, at different sockets, keep each other's pins.
#[tokio::test]
async fn two_agents_share_what_they_learn() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let reader = User::ready(&mut clients, ParticipantKind::Institution).await;
    let (one, two) = (
        User::register(&mut clients, ParticipantKind::Patient).await,
        User::register(&mut clients, ParticipantKind::Patient).await,
    );
    let socket = agent.dir().join("run/second.sock");
    let second =
        agent.command().env("LIFE_AGENT_SOCKET", &socket).stderr(std::process::Stdio::null()).spawn();
    let _second = life_e2e::process::Process::new(second.unwrap());
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut others = life_e2e::agent::Clients::over(life_e2e::agent::channel(socket).await);
    reader.unlock(&mut others).await;
    let look = |name: &str| v1::LookupUserRequest { name: name.to_owned(), ..Default::default() };
    clients.directory.lookup_user(look(&one.name)).await.unwrap();
    others.directory.lookup_user(look(&two.name)).await.unwrap();

    clients.agent.lock(v1::LockRequest {}).await.unwrap();
    reader.unlock(&mut clients).await;
    for user in [&one, &two] {
        let user = clients.directory.lookup_user(look(&user.name)).await.unwrap().into_inner().user.unwrap();
        assert_eq!(user.trust(), TrustState::Pinned);
    }
}
