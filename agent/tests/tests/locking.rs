//! Locking, and calls that end early: what is in flight ends, at once, with a reason, and gives its place back.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use life_e2e::agent::Clients;
use life_e2e::{Agent, Platform, Reason, Tap, User, streams, users};
use life_proto::v1;
use v1::ParticipantKind;

fn small(user: &User) -> v1::SignRequest {
    v1::SignRequest { user: user.name.clone(), content: b"x".to_vec().into(), form: 0 }
}

#[tokio::test]
async fn lock_ends_what_is_in_flight() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let header =
        v1::SendHeader { user: user.name.clone(), recipient: user.name.clone(), ..Default::default() };
    let sent = streams::send(&mut clients, header, &vec![1; 16 << 20]).await.unwrap();
    let receive = v1::ReceiveRequest {
        user: user.name.clone(),
        message_id: sent.message_id,
        allow_unverified_sender: true,
    };
    let mut received = clients.messages.receive(receive).await.unwrap().into_inner();
    received.message().await.unwrap().unwrap();
    let (mut signing, name) = (clients.clone(), user.name.clone());
    let unary = tokio::spawn(async move {
        let request = v1::SignRequest { user: name, content: vec![1; 8 << 20].into(), form: 0 };
        signing.crypto.sign(request).await
    });
    tokio::time::sleep(Duration::from_millis(20)).await;

    assert_eq!(clients.agent.lock(v1::LockRequest {}).await.unwrap().into_inner().locked_count, 1);
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            match received.message().await {
                Ok(Some(_)) => {}
                Ok(None) => break String::from("no error"),
                Err(status) => break status.reason(),
            }
        }
    });
    assert_eq!(ended.await.expect("the stream hangs"), "CREDENTIAL_LOCKED");
    // The unary call was in time, or it was not: it does not hang, and says why.
    match tokio::time::timeout(Duration::from_secs(5), unary).await.expect("the call hangs").unwrap() {
        Ok(signed) => assert!(!signed.into_inner().signed_data.is_empty()),
        Err(status) => assert_eq!(status.reason(), "CREDENTIAL_LOCKED"),
    }
}

#[tokio::test]
async fn a_stream_that_stands_still_ends_and_gives_its_place_back() {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[limits]\nmax_calls = 1\ninput_stall_seconds = 1");
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let (send, receive) = tokio::sync::mpsc::channel(1);
    let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
    let first =
        v1::EncryptStreamRequest { message: Some(v1::encrypt_stream_request::Message::Header(header)) };
    send.send(first).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut answers = clients.crypto.encrypt_stream(stream).await.unwrap().into_inner();
    assert_eq!(clients.crypto.sign(small(&user)).await.reason(), "RESOURCE_EXHAUSTED");
    // Nobody reads the answer: the place is free all the same.
    tokio::time::sleep(Duration::from_secs(2)).await;
    clients.crypto.sign(small(&user)).await.unwrap();
    let ended = loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => break String::from("no error"),
            Err(status) => break status.reason(),
        }
    };
    assert_eq!(ended, "DEADLINE_EXCEEDED");
}

#[tokio::test]
async fn lock_ends_running_streams_and_keeps_the_vault() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let (one, two) = (
        User::ready(&mut clients, ParticipantKind::Patient).await,
        User::ready(&mut clients, ParticipantKind::Patient).await,
    );
    let vault = clients.vault_pid().await;

    // A stream whose caller is slow: header and a chunk, then silence.
    let (send, receive) = tokio::sync::mpsc::channel(4);
    let header = v1::EncryptStreamHeader { user: one.name.clone(), ..Default::default() };
    let ask = |message| v1::EncryptStreamRequest { message: Some(message) };
    send.send(ask(v1::encrypt_stream_request::Message::Header(header))).await.unwrap();
    send.send(ask(v1::encrypt_stream_request::Message::Chunk(vec![0; 1000].into()))).await.unwrap();
    let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut answers = clients.crypto.encrypt_stream(stream).await.unwrap().into_inner();

    let lock = v1::LockCredentialRequest { user: one.name.clone() };
    assert!(clients.credentials.lock(lock.clone()).await.unwrap().into_inner().was_unlocked);
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        loop {
            match answers.message().await {
                Ok(Some(_)) => {}
                Ok(None) => break String::from("no error"),
                Err(status) => break status.reason(),
            }
        }
    });
    assert_eq!(ended.await.expect("the stream hangs"), "CREDENTIAL_LOCKED");
    assert!(!clients.credentials.lock(lock).await.unwrap().into_inner().was_unlocked);

    // The other user is untouched, the vault is the same.
    clients.crypto.sign(small(&two)).await.unwrap();
    assert_eq!(clients.crypto.sign(small(&one)).await.reason(), "CREDENTIAL_LOCKED");
    assert_eq!(clients.agent.lock(v1::LockRequest {}).await.unwrap().into_inner().locked_count, 1);
    assert_eq!(clients.crypto.sign(small(&two)).await.reason(), "CREDENTIAL_LOCKED");
    assert_eq!(clients.vault_pid().await, vault);
}

#[tokio::test]
async fn several_users_and_who_acts() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let nobody = v1::SignRequest { content: b"x".to_vec().into(), ..Default::default() };
    assert_eq!(clients.crypto.sign(nobody.clone()).await.reason(), "CREDENTIAL_LOCKED");
    let one = User::ready(&mut clients, ParticipantKind::Patient).await;
    clients.crypto.sign(nobody.clone()).await.unwrap();
    let two = User::ready(&mut clients, ParticipantKind::Institution).await;
    assert_eq!(clients.crypto.sign(nobody).await.reason(), "IDENTITY_AMBIGUOUS");
    for user in [&one, &two] {
        clients.crypto.sign(small(user)).await.unwrap();
    }
    let list = clients.credentials.list_unlocked(v1::ListUnlockedRequest {}).await.unwrap().into_inner();
    let mut names = [one.name.clone(), two.name.clone()];
    names.sort();
    assert_eq!(list.identities.iter().map(|i| i.user.clone()).collect::<Vec<_>>(), names);
    // Unlocking anew replaces.
    one.unlock(&mut clients).await;
    assert_eq!(clients.status().await.identities.len(), 2);
}

#[tokio::test]
async fn a_deadline_and_a_vanished_client_end_the_work() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;

    let (send, receive) = tokio::sync::mpsc::channel(1);
    let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
    let first =
        v1::EncryptStreamRequest { message: Some(v1::encrypt_stream_request::Message::Header(header)) };
    send.send(first).await.unwrap();
    let mut request = tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(receive));
    request.set_timeout(Duration::from_millis(300));
    let ended = tokio::time::timeout(Duration::from_secs(5), async {
        let mut answers = clients.crypto.encrypt_stream(request).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok::<_, tonic::Status>(())
    });
    let status = ended.await.expect("the deadline is not honoured").unwrap_err();
    assert!(matches!(status.code(), tonic::Code::DeadlineExceeded | tonic::Code::Cancelled), "{status:?}");

    // Fifty clients start a stream and vanish: the agent's descriptors come back to where they were.
    let pid = clients.status().await.broker.unwrap().pid;
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let before = descriptors();
    for _ in 0..50 {
        let mut client = agent.clients().await;
        let (send, receive) = tokio::sync::mpsc::channel(2);
        let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
        send.send(v1::EncryptStreamRequest {
            message: Some(v1::encrypt_stream_request::Message::Header(header)),
        })
        .await
        .unwrap();
        let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
        let answers = client.crypto.encrypt_stream(stream).await.unwrap();
        drop((answers, send, client));
    }
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while descriptors() > before {
        assert!(tokio::time::Instant::now() < end, "{} descriptors, {before} before", descriptors());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let plaintext = vec![1; 1000];
    let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
    streams::encrypt(&mut clients, header, &plaintext).await.unwrap();
}

/// A platform that answers no more leaves an unlocking in the middle, its keys open in the vault: a lock ends it all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_closes_what_an_unlocking_has_open_however_long_the_platform_takes() {
    let platform = Platform::start();
    let tap = Tap::to(&platform).await;
    let mut agent = Agent::prepare_at(&tap.origin, &platform, "");
    agent.run();
    let mut clients = agent.clients().await;
    let other = User::ready(&mut clients, ParticipantKind::Patient).await;
    let user = User::register(&mut clients, ParticipantKind::Patient).await;
    let vault = clients.vault_pid().await;
    let used = async |clients: &mut Clients| {
        clients.status().await.vault_memory.map(|memory| memory.used_bytes).unwrap_or_default()
    };
    for (everybody, named) in [(false, true), (false, false), (true, false)] {
        // The vault's word may be a second old.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let before = used(&mut clients).await;
        // One held connection would not do: the agent asks on another.
        tap.hold_everything();
        let request = v1::UnlockRequest {
            user: if named { user.name.clone() } else { String::new() },
            ..user.unlock_request()
        };
        let mut unlocking = clients.clone();
        let unlocking = tokio::spawn(async move { users::unlock(&mut unlocking, request).await });
        let end = tokio::time::Instant::now() + Duration::from_secs(30);
        while used(&mut clients).await < before + OPEN {
            assert!(tokio::time::Instant::now() < end, "nothing was opened");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if everybody {
            clients.agent.lock(v1::LockRequest {}).await.unwrap();
        } else {
            let lock = v1::LockCredentialRequest { user: user.name.clone() };
            assert!(!clients.credentials.lock(lock).await.unwrap().into_inner().was_unlocked);
        }
        // The platform still answers nothing.
        let ended = tokio::time::timeout(Duration::from_secs(10), unlocking).await;
        assert_eq!(ended.expect("the unlocking hangs").unwrap().reason(), "CREDENTIAL_LOCKED");
        let end = tokio::time::Instant::now() + Duration::from_secs(10);
        while used(&mut clients).await >= before + OPEN {
            assert!(tokio::time::Instant::now() < end, "it stays open");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tap.release();
        if !everybody {
            clients.crypto.sign(small(&other)).await.unwrap();
        }
        assert_eq!(clients.vault_pid().await, vault);
    }
    user.unlock(&mut clients).await;
}

/// The least that open keys take.
const OPEN: u64 = 4 * 1024;
