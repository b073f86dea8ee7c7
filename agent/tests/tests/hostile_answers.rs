//! A platform that lies beside accounts: about messages, its own root, and by saying nothing.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use life_e2e::{Agent, Platform, Reason, User, streams, users};
use life_proto::v1;
use rusqlite::{Connection, params};
use v1::{ParticipantKind, TrustState};

#[tokio::test]
async fn stored_messages_that_were_tampered_with_are_refused() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let (one, two) = (
        User::ready(&mut clients, ParticipantKind::Patient).await,
        User::ready(&mut clients, ParticipantKind::Patient).await,
    );
    let mut sent = Vec::new();
    for to in [&one, &one, &two] {
        let header =
            v1::SendHeader { user: clinic.name.clone(), recipient: to.name.clone(), ..Default::default() };
        sent.push(streams::send(&mut clients, header, &vec![5; 1_500_000]).await.unwrap().message_id);
    }
    let database = Connection::open(platform.database()).unwrap();
    let file = |id: &str| {
        let name: String =
            database.query_row("SELECT blob FROM message WHERE id = ?1", [id], |row| row.get(0)).unwrap();
        platform.dir().join("serve/data/blobs").join(name)
    };
    let good = std::fs::read(file(&sent[0])).unwrap();
    let foreign = std::fs::read(file(&sent[2])).unwrap();
    let envelope = |bytes: &[u8]| u32::from_be_bytes(bytes[9..13].try_into().unwrap()) as usize + 13;
    let swapped = [&foreign[..envelope(&foreign)], &good[envelope(&good)..]].concat();
    let replayed = std::fs::read(file(&sent[1])).unwrap();
    let replayed = [&replayed[..envelope(&replayed)], &good[envelope(&good)..]].concat();
    let mut flipped = good.clone();
    flipped[800_000] ^= 4;
    for (what, bytes, reasons) in [
        ("another reader's message", &foreign[..], &["NOT_A_RECIPIENT"][..]),
        ("another reader's envelope", &swapped, &["NOT_A_RECIPIENT"]),
        ("the envelope of another message to the same reader", &replayed, &["DECRYPTION_FAILED"]),
        ("a flipped bit", &flipped, &["DECRYPTION_FAILED"]),
        ("half", &good[..good.len() / 2], &["STREAM_TRUNCATED"]),
        ("nothing", &[], &["STREAM_TRUNCATED", "FORMAT_INVALID"]),
    ] {
        std::fs::write(file(&sent[0]), bytes).unwrap();
        database
            .execute("UPDATE message SET size = ?1 WHERE id = ?2", params![bytes.len() as i64, sent[0]])
            .unwrap();
        let reason = streams::receive(&mut clients, &one.name, &sent[0]).await.map(|_| ()).reason();
        assert!(reasons.contains(&reason.as_str()), "{what}: {reason}");
    }
    std::fs::write(file(&sent[0]), &good).unwrap();
    database
        .execute("UPDATE message SET size = ?1 WHERE id = ?2", params![good.len() as i64, sent[0]])
        .unwrap();
    streams::receive(&mut clients, &one.name, &sent[0]).await.unwrap();
}

#[tokio::test]
async fn a_server_with_another_root_is_not_talked_to() {
    let (platform, other) = (Platform::start(), Platform::start());
    let mut agent = Agent::prepare(&platform, "");
    let config = format!(
        "[platform]\norigin = \"{}\"\nca_fingerprint = \"{}\"\n",
        other.origin, platform.ca_fingerprint
    );
    std::fs::write(agent.dir().join("agent.toml"), config).unwrap();
    agent.run();
    let mut clients = agent.clients().await;
    let request = users::registering_with(ParticipantKind::Patient, b"long enough passphrase");
    assert_eq!(users::register(&mut clients, request).await.reason(), "PLATFORM_UNTRUSTED");
}

#[tokio::test]
async fn a_pinned_user_is_not_encrypted_to_for_ever_while_the_platform_is_silent() {
    let mut platform = Platform::start();
    let patient = "[directory]\nrefresh_seconds = 0\noffline_days = 7\n";
    let strict = "[directory]\nrefresh_seconds = 0\noffline_days = 0\n";
    let mut cases = Vec::new();
    for config in [patient, strict] {
        let agent = Agent::start_with(&platform, config);
        let mut clients = agent.clients().await;
        let sender = User::ready(&mut clients, ParticipantKind::Institution).await;
        let other = User::ready(&mut clients, ParticipantKind::Patient).await;
        let encrypt = v1::EncryptRequest {
            user: sender.name.clone(),
            recipients: vec![other.name.clone()],
            plaintext: b"confidential".to_vec().into(),
            ..Default::default()
        };
        let sealed = clients.crypto.encrypt(encrypt.clone()).await.unwrap().into_inner();
        assert_eq!(sealed.recipients[1].trust(), TrustState::FirstUse);
        let again = clients.crypto.encrypt(encrypt.clone()).await.unwrap().into_inner();
        assert_eq!(again.recipients[1].trust(), TrustState::Pinned);
        cases.push((agent, clients, encrypt, other));
    }
    platform.kill_serve();
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    for ((agent, mut clients, encrypt, _), reason) in
        cases.into_iter().zip([None, Some("PLATFORM_UNAVAILABLE")])
    {
        match clients.crypto.encrypt(encrypt).await {
            Ok(_) => assert_eq!(reason, None),
            Err(status) => assert_eq!(Some(Err::<(), _>(status).reason().as_str()), reason),
        }
        drop(agent);
    }
}
