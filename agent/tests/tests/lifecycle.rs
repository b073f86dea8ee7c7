//! Starting, stopping, crashing, locking: what an agent owes its callers when something ends.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::Stdio;
use std::time::Duration;

use life_e2e::process::{eventually, is_alive, signal_pid};
use life_e2e::{Agent, Platform, Reason, User, users};
use life_proto::v1;
use rustix::process::Signal;
use v1::ParticipantKind;
use v1::watch_events_response::Event;

fn small(user: &User) -> v1::SignRequest {
    v1::SignRequest { user: user.name.clone(), content: b"x".to_vec().into(), form: 0 }
}

#[tokio::test]
async fn socket_and_folders_are_private_from_birth() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let run = agent.socket().parent().unwrap().to_path_buf();
    assert_eq!(mode(&run), 0o700);
    assert_eq!(mode(&agent.state()), 0o700);
    for name in ["agent.sock", "fd.sock"] {
        let path = run.join(name);
        assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
        assert_eq!(mode(&path), 0o600, "{name}");
    }
    let mut clients = agent.clients().await;
    let status = clients.status().await;
    assert_eq!(status.descriptor_socket, run.join("fd.sock").to_str().unwrap());
    assert_ne!(status.broker.unwrap().pid, clients.vault_pid().await);
}

#[tokio::test]
async fn a_vault_crash_locks_everything_and_a_fresh_one_is_there_at_once() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let mut events = clients.agent.watch_events(v1::WatchEventsRequest {}).await.unwrap().into_inner();
    let first = events.message().await.unwrap().unwrap();
    assert!(matches!(first.event, Some(Event::WatchStarted(_))));

    // Many signatures are on their way when it dies: each ends, with an answer or a stable reason.
    let mut calls = Vec::new();
    for _ in 0..64 {
        let (mut clients, request) = (clients.clone(), small(&user));
        calls.push(tokio::spawn(async move { clients.crypto.sign(request).await }));
    }
    let old = clients.vault_pid().await;
    signal_pid(old, Signal::KILL);
    for call in calls {
        let ended = tokio::time::timeout(Duration::from_secs(5), call).await.expect("a call hangs").unwrap();
        if let Err(status) = ended {
            let reason = status.reason();
            assert!(["VAULT_UNAVAILABLE", "CREDENTIAL_LOCKED"].contains(&reason.as_str()), "{reason}");
        }
    }
    let (mut locked, mut restarted) = (false, false);
    while !(locked && restarted) {
        let event = tokio::time::timeout(Duration::from_secs(5), events.message()).await;
        match event.expect("no event").unwrap().unwrap().event {
            Some(Event::Locked(event)) => {
                assert_eq!(event.cause(), v1::locked::Cause::VaultLost);
                assert_eq!(event.user, user.name);
                locked = true;
            }
            Some(Event::VaultRestarted(event)) => {
                assert_ne!(event.pid, old);
                restarted = true;
            }
            _ => {}
        }
    }
    let status = clients.status().await;
    assert!(status.identities.is_empty());
    assert_eq!(status.vault_restarts, 1);
    assert_eq!(clients.crypto.sign(small(&user)).await.reason(), "CREDENTIAL_LOCKED");
    user.unlock(&mut clients).await;
    clients.crypto.sign(small(&user)).await.unwrap();
}

#[tokio::test]
async fn a_vault_that_hangs_is_replaced_and_lock_tells_the_truth() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let old = clients.vault_pid().await;
    signal_pid(old, Signal::STOP);
    eventually("every thread of the vault stands still", Duration::from_secs(5), || {
        std::fs::read_dir(format!("/proc/{old}/task")).unwrap().all(|task| {
            let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap();
            stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
        })
    });
    let (mut signing, request) = (clients.clone(), small(&user));
    let call = tokio::spawn(async move { signing.crypto.sign(request).await });
    tokio::time::sleep(Duration::from_millis(100)).await;

    let lock = tokio::time::timeout(Duration::from_secs(8), clients.agent.lock(v1::LockRequest {}));
    assert_eq!(lock.await.expect("Lock hangs").unwrap().into_inner().locked_count, 1);
    // When it answers, the process that had the keys is gone.
    assert!(!is_alive(old));
    let ended = tokio::time::timeout(Duration::from_secs(5), call).await.expect("a call hangs").unwrap();
    let reason = ended.reason();
    assert!(["VAULT_UNAVAILABLE", "CREDENTIAL_LOCKED"].contains(&reason.as_str()), "{reason}");
    let status = clients.status().await;
    assert_ne!(clients.vault_pid().await, old);
    assert!(status.identities.is_empty());
    user.unlock(&mut clients).await;
    clients.crypto.sign(small(&user)).await.unwrap();
}

#[tokio::test]
async fn a_fresh_vault_is_there_within_a_second() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    User::ready(&mut clients, ParticipantKind::Patient).await;
    let old = clients.status().await.vault.unwrap().pid;
    let killed = std::time::Instant::now();
    signal_pid(old, Signal::KILL);
    while clients.status().await.vault.is_none_or(|vault| vault.pid == old) {
        assert!(killed.elapsed() < Duration::from_secs(1), "no fresh vault");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_serves_while_no_vault_lives() {
    let platform = Platform::start();
    let mut agent = Agent::prepare(&platform, "[vault]\nprogram = \"/bin/true\"");
    agent.run();
    let mut clients = agent.clients().await;
    tokio::time::timeout(Duration::from_secs(5), clients.status()).await.expect("it does not serve");
    let request = v1::UnlockRequest {
        credential: Some(v1::unlock_request::Credential::SoftwareCertificate(v1::SoftwareCertificate {
            pkcs12: vec![0x30, 0].into(),
            ..Default::default()
        })),
        secret: Some(v1::Secret { source: Some(v1::secret::Source::Inline(b"twelve bytes".to_vec())) }),
        ..Default::default()
    };
    assert_eq!(users::unlock(&mut clients, request).await.reason(), "VAULT_UNAVAILABLE");
    agent.broker().signal(Signal::TERM);
    assert!(agent.broker().wait(Duration::from_secs(10)).expect("it stops").success());
}

#[tokio::test]
async fn the_vault_ends_with_a_broker_that_was_killed() {
    let platform = Platform::start();
    let mut agent = Agent::start(&platform);
    let vault = agent.clients().await.vault_pid().await;
    agent.kill();
    eventually("the vault ends", Duration::from_secs(5), || !is_alive(vault));
    // The socket it left behind is taken over.
    agent.run();
    assert!(agent.clients().await.status().await.identities.is_empty());
}

#[tokio::test]
async fn a_second_agent_cannot_steal_a_live_socket() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let before = agent.clients().await.status().await.broker.unwrap().pid;
    let out = agent.command().stderr(Stdio::piped()).output().unwrap();
    assert!(!out.status.success());
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("another agent"), "{said}");
    assert_eq!(agent.clients().await.status().await.broker.unwrap().pid, before);

    // Another socket path is another agent.
    let other = Agent::start(&platform);
    assert_ne!(other.clients().await.status().await.broker.unwrap().pid, before);
}

#[tokio::test]
async fn sigterm_lets_running_calls_end_and_leaves_nothing_behind() {
    let platform = Platform::start();
    let mut agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let vault = clients.vault_pid().await;

    // A stream is under way: its header was taken, and content is still to come.
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let message = |message| v1::EncryptStreamRequest { message: Some(message) };
    let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
    send.send(message(v1::encrypt_stream_request::Message::Header(header))).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut answers = clients.crypto.encrypt_stream(stream).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();

    agent.broker().signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let chunk = vec![7; 1 << 20].into();
    send.send(message(v1::encrypt_stream_request::Message::Chunk(chunk))).await.unwrap();
    drop(send);
    let ended = tokio::time::timeout(Duration::from_secs(9), async {
        let mut result = None;
        while let Some(answer) = answers.message().await? {
            if let Some(v1::encrypt_stream_response::Message::Result(done)) = answer.message {
                result = Some(done);
            }
        }
        Ok::<_, tonic::Status>(result)
    });
    let result = ended.await.expect("the call hangs").unwrap().expect("no result");
    assert_eq!(result.plaintext_size, 1 << 20);
    drop((answers, clients));
    tokio::task::yield_now().await;
    let status = agent.broker().wait(Duration::from_secs(10)).expect("it stops");
    assert!(status.success(), "{status:?}: {}", agent.log());
    assert!(!is_alive(vault));
    assert!(!agent.socket().exists(), "the socket is gone");
}

#[tokio::test]
async fn sighup_reloads_and_a_bad_configuration_changes_nothing() {
    let platform = Platform::start();
    let mut agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    let path = agent.dir().join("agent.toml");
    let good = std::fs::read_to_string(&path).unwrap();

    std::fs::write(&path, format!("{good}\n[unlock]\ninline_secrets = \"forbid\"\n")).unwrap();
    agent.broker().signal(Signal::HUP);
    let mut reason = String::new();
    for _ in 0..100 {
        reason = match users::unlock(&mut clients, user.unlock_request()).await {
            Ok(_) => String::new(),
            Err(status) => status.reason(),
        };
        if !reason.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(reason, "SECRET_SOURCE_FORBIDDEN");

    std::fs::write(&path, "[unlock]\ninline_secrets = 7\n").unwrap();
    agent.broker().signal(Signal::HUP);
    eventually("the fault is logged", Duration::from_secs(5), || agent.log().contains("inline_secrets"));
    assert_eq!(users::unlock(&mut clients, user.unlock_request()).await.reason(), "SECRET_SOURCE_FORBIDDEN");

    let check = agent.command().arg("--check-config").stderr(Stdio::piped()).output().unwrap();
    assert_eq!(check.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&check.stderr).contains("inline_secrets"));
}

#[tokio::test]
async fn the_platform_may_go_and_come_back() {
    let mut platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::ready(&mut clients, ParticipantKind::Patient).await;
    let request = v1::EncryptRequest {
        user: clinic.name.clone(),
        recipients: vec![patient.name.clone()],
        plaintext: b"x".to_vec().into(),
        ..Default::default()
    };
    let sealed = clients.crypto.encrypt(request.clone()).await.unwrap().into_inner();
    let open =
        v1::DecryptRequest { user: patient.name.clone(), envelope: sealed.envelope, ..Default::default() };
    clients.crypto.decrypt(open.clone()).await.unwrap();
    platform.kill_serve();

    // Known recipients stay reachable from the pins; unknown ones fail with a reason, at once.
    clients.crypto.encrypt(request.clone()).await.unwrap();
    clients.crypto.decrypt(open).await.unwrap();
    let mut unknown = request;
    unknown.recipients = vec!["users/123e4567-e89b-42d3-a456-426614174000".into()];
    assert_eq!(clients.crypto.encrypt(unknown.clone()).await.reason(), "PLATFORM_UNAVAILABLE");
    assert_eq!(users::unlock(&mut clients, patient.unlock_request()).await.reason(), "PLATFORM_UNAVAILABLE");
    assert!(!clients.status().await.platform.unwrap().up);

    platform.start_serve();
    assert_eq!(clients.crypto.encrypt(unknown).await.reason(), "RECIPIENT_NOT_FOUND");
    patient.unlock(&mut clients).await;
    assert!(clients.status().await.platform.unwrap().up);
}
