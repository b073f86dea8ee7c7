//! Bad input through the contract: each gets a stable reason, loses nothing and leaves the agent well.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use life_e2e::agent::Clients;
use life_e2e::{Agent, Platform, Reason, User, streams, users};
use life_proto::v1;
use tonic::Status;
use v1::ParticipantKind;

const UNKNOWN: &str = "users/123e4567-e89b-42d3-a456-426614174000";

async fn ready() -> (Platform, Agent, Clients, User) {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    (platform, agent, clients, user)
}

#[tokio::test]
async fn unary_requests() {
    let (_platform, _agent, mut clients, user) = ready().await;
    let encrypt = |recipients: &[&str], plaintext: usize| v1::EncryptRequest {
        user: user.name.clone(),
        recipients: recipients.iter().map(|r| (*r).to_owned()).collect(),
        plaintext: vec![0; plaintext].into(),
        ..Default::default()
    };
    let limit = life_proto::UNARY_LIMIT;

    // Zero bytes, and exactly the limit, work.
    for size in [0, limit] {
        let sealed = clients.crypto.encrypt(encrypt(&[], size)).await.unwrap().into_inner();
        let open =
            v1::DecryptRequest { user: user.name.clone(), envelope: sealed.envelope, ..Default::default() };
        assert_eq!(clients.crypto.decrypt(open).await.unwrap().into_inner().plaintext.len(), size);
    }
    // One byte more names the streaming call.
    let status = clients.crypto.encrypt(encrypt(&[], limit + 1)).await.unwrap_err();
    assert_eq!(status.reason(), "MESSAGE_TOO_LARGE");
    assert!(status.message().contains("EncryptStream"), "{}", status.message());
    let sign = v1::SignRequest { user: user.name.clone(), content: vec![0; limit + 1].into(), form: 0 };
    let status = clients.crypto.sign(sign).await.unwrap_err();
    assert_eq!(status.reason(), "MESSAGE_TOO_LARGE");
    assert!(status.message().contains("SignStream"), "{}", status.message());

    for (recipients, reason) in [
        (&[UNKNOWN][..], "RECIPIENT_NOT_FOUND"),
        (&["users/nobody"], "INVALID_ARGUMENT"),
        (&["users/123e4567-e89b-12d3-a456-426614174000"], "INVALID_ARGUMENT"),
        (&[""], "INVALID_ARGUMENT"),
        (&["users/../../etc/passwd"], "INVALID_ARGUMENT"),
    ] {
        assert_eq!(clients.crypto.encrypt(encrypt(recipients, 1)).await.reason(), reason, "{recipients:?}");
    }
    assert_eq!(clients.crypto.encrypt(encrypt(&[UNKNOWN; 257], 1)).await.reason(), "INVALID_ARGUMENT");
    let mut twice = encrypt(&[&user.name, &user.name], 1);
    assert_eq!(clients.crypto.encrypt(twice.clone()).await.unwrap().into_inner().recipients.len(), 1);
    twice.document_id = "not a uuid".into();
    assert_eq!(clients.crypto.encrypt(twice.clone()).await.reason(), "INVALID_ARGUMENT");
    twice.document_id.clear();
    twice.purpose = 99;
    assert_eq!(clients.crypto.encrypt(twice.clone()).await.reason(), "INVALID_ARGUMENT");
    twice.purpose = 0;
    twice.user = UNKNOWN.into();
    assert_eq!(clients.crypto.encrypt(twice).await.reason(), "CREDENTIAL_LOCKED");

    let decrypt = |envelope: Vec<u8>| v1::DecryptRequest {
        user: user.name.clone(),
        envelope: envelope.into(),
        ..Default::default()
    };
    for envelope in [vec![], vec![0x30], b"plain text".to_vec(), vec![0xff; 4096], vec![0x30, 0x80, 0, 0]] {
        assert_eq!(clients.crypto.decrypt(decrypt(envelope)).await.reason(), "FORMAT_INVALID");
    }
    let sealed = clients.crypto.encrypt(encrypt(&[], 100)).await.unwrap().into_inner().envelope;
    for cut in [1, 10, sealed.len() / 2, sealed.len() - 1] {
        assert_eq!(clients.crypto.decrypt(decrypt(sealed[..cut].to_vec())).await.reason(), "FORMAT_INVALID");
    }
    let mut flipped = sealed.to_vec();
    let last = flipped.len() - 20;
    flipped[last] ^= 1;
    assert_eq!(clients.crypto.decrypt(decrypt(flipped)).await.reason(), "DECRYPTION_FAILED");

    let verify = v1::VerifyRequest {
        user: user.name.clone(),
        signed_data: b"nonsense".to_vec().into(),
        ..Default::default()
    };
    assert_eq!(clients.crypto.verify(verify).await.reason(), "FORMAT_INVALID");
    for name in ["", "users/", "patients/1", "users/123e4567"] {
        let ask = v1::LookupUserRequest { name: name.into(), ..Default::default() };
        assert_eq!(clients.directory.lookup_user(ask).await.reason(), "INVALID_ARGUMENT", "{name:?}");
    }
    let ask = v1::LookupUserRequest { name: UNKNOWN.into(), ..Default::default() };
    assert_eq!(clients.directory.lookup_user(ask).await.reason(), "RECIPIENT_NOT_FOUND");
    clients.crypto.encrypt(encrypt(&[], 1)).await.unwrap();
}

#[tokio::test]
async fn credentials() {
    let (_platform, _agent, mut clients, user) = ready().await;
    let good = user.unlock_request();
    let with = |edit: &dyn Fn(&mut v1::UnlockRequest)| {
        let mut request = good.clone();
        edit(&mut request);
        request
    };
    let file = |bytes: Vec<u8>| {
        Some(v1::unlock_request::Credential::SoftwareCertificate(v1::SoftwareCertificate {
            pkcs12: bytes.into(),
            ..Default::default()
        }))
    };
    let inline =
        |secret: &[u8]| Some(v1::Secret { source: Some(v1::secret::Source::Inline(secret.to_vec())) });
    let mut damaged = user.pkcs12.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let cases: Vec<(&str, v1::UnlockRequest, &[&str])> = vec![
        ("no credential", with(&|r| r.credential = None), &["INVALID_ARGUMENT"]),
        ("no secret", with(&|r| r.secret = None), &["INVALID_ARGUMENT"]),
        ("no source", with(&|r| r.secret = Some(v1::Secret { source: None })), &["INVALID_ARGUMENT"]),
        ("wrong passphrase", with(&|r| r.secret = inline(b"not this one")), &["WRONG_PASSPHRASE"]),
        ("empty passphrase", with(&|r| r.secret = inline(b"")), &["WRONG_PASSPHRASE", "INVALID_ARGUMENT"]),
        ("no UTF-8", with(&|r| r.secret = inline(&[0xff, 0xfe])), &["WRONG_PASSPHRASE", "INVALID_ARGUMENT"]),
        ("empty file", with(&|r| r.credential = file(vec![])), &["CREDENTIAL_DAMAGED", "INVALID_ARGUMENT"]),
        ("nonsense", with(&|r| r.credential = file(b"nonsense".to_vec())), &["CREDENTIAL_DAMAGED"]),
        (
            "huge",
            with(&|r| r.credential = file(vec![0x30; 300 << 10])),
            &["CREDENTIAL_DAMAGED", "INVALID_ARGUMENT"],
        ),
        // PKCS#12 cannot tell a damaged file from a wrong passphrase once the structure parses: its MAC covers both.
        (
            "damaged",
            with(&|r| r.credential = file(damaged.clone())),
            &["CREDENTIAL_DAMAGED", "WRONG_PASSPHRASE"],
        ),
        ("another user", with(&|r| r.user = UNKNOWN.into()), &["WRONG_USER"]),
        ("bad name", with(&|r| r.user = "users/x".into()), &["INVALID_ARGUMENT"]),
    ];
    for (what, request, reasons) in cases {
        let reason = users::unlock(&mut clients, request).await.reason();
        assert!(reasons.contains(&reason.as_str()), "{what}: {reason}");
    }
    // Whatever was tried, the user is still unlocked.
    assert_eq!(clients.status().await.identities.len(), 1);

    let register = |kind: i32, passphrase: &[u8]| v1::RegisterUserRequest {
        kind,
        ..users::registering_with(ParticipantKind::Patient, passphrase)
    };
    let patient = ParticipantKind::Patient.into();
    for (request, reason) in [
        (register(0, b"long enough passphrase"), "INVALID_ARGUMENT"),
        (register(77, b"long enough passphrase"), "INVALID_ARGUMENT"),
        (register(patient, b"short"), "PASSPHRASE_TOO_SHORT"),
        (v1::RegisterUserRequest { kind: patient, ..Default::default() }, "INVALID_ARGUMENT"),
        (
            v1::RegisterUserRequest {
                platform_origin: "https://127.0.0.1:1".into(),
                ca_fingerprint: "00".repeat(32),
                ..register(patient, b"long enough passphrase")
            },
            "PLATFORM_MISMATCH",
        ),
    ] {
        assert_eq!(users::register(&mut clients, request).await.reason(), reason);
    }
}

#[tokio::test]
async fn streams_out_of_order() {
    use v1::encrypt_stream_request::Message;
    let (_platform, _agent, mut clients, user) = ready().await;
    let header =
        || Message::Header(v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() });
    let chunk = |len: usize| Message::Chunk(vec![0; len].into());
    let cases: Vec<(&str, Vec<Option<Message>>, &str)> = vec![
        ("nothing", vec![], "STREAM_PROTOCOL"),
        ("chunk first", vec![Some(chunk(1))], "STREAM_PROTOCOL"),
        ("two headers", vec![Some(header()), Some(header())], "STREAM_PROTOCOL"),
        ("an empty message", vec![Some(header()), None], "STREAM_PROTOCOL"),
        ("an empty chunk", vec![Some(header()), Some(chunk(0))], "STREAM_PROTOCOL"),
        ("a long chunk", vec![Some(header()), Some(chunk((1 << 20) + 1))], "MESSAGE_TOO_LARGE"),
    ];
    for (what, messages, reason) in cases {
        let messages = messages.into_iter().map(|message| v1::EncryptStreamRequest { message });
        let ended = async {
            let mut answers = clients.crypto.encrypt_stream(tokio_stream::iter(messages)).await?.into_inner();
            while answers.message().await?.is_some() {}
            Ok::<_, Status>(())
        };
        let ended = tokio::time::timeout(Duration::from_secs(10), ended).await.expect(what);
        assert_eq!(ended.reason(), reason, "{what}");
    }
    let header = v1::DecryptStreamHeader { user: user.name.clone(), ..Default::default() };
    for (bytes, reasons) in [
        (&b""[..], &["STREAM_TRUNCATED", "FORMAT_INVALID"][..]),
        (b"LIFE", &["STREAM_TRUNCATED", "FORMAT_INVALID"]),
        (b"LIFESTRM", &["STREAM_TRUNCATED", "FORMAT_INVALID"]),
        (b"LIFESTRM\x02\0\0\0\x10", &["FORMAT_INVALID", "FORMAT_REFUSED"]),
        (b"LIFESTRM\x01\xff\xff\xff\xff", &["FORMAT_INVALID", "FORMAT_REFUSED"]),
        (b"LIFESTRM\x01\0\0\0\x04nope", &["FORMAT_INVALID"]),
        (b"just some text", &["FORMAT_INVALID"]),
    ] {
        let (status, released) = streams::decrypt(&mut clients, header.clone(), bytes).await.unwrap_err();
        assert!(reasons.contains(&status.reason().as_str()), "{bytes:?}: {status:?}");
        assert!(released.is_empty());
    }
}

#[tokio::test]
async fn frames_that_are_no_grpc() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_platform, agent, mut clients, _user) = ready().await;
    for garbage in [
        &b""[..],
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        &[0; 65536],
    ] {
        let mut socket = tokio::net::UnixStream::connect(agent.socket()).await.unwrap();
        let _ = socket.write_all(garbage).await;
        let _ = socket.shutdown().await;
        let mut sink = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut sink)).await;
        read.expect("the connection stays open").ok();
    }
    // The descriptor socket: wrong length, unknown ticket, no descriptor.
    for garbage in [&b"x"[..], &[7; 32], &[7; 4096]] {
        let path = clients.status().await.descriptor_socket;
        let mut socket = tokio::net::UnixStream::connect(path).await.unwrap();
        let _ = socket.write_all(garbage).await;
        let _ = socket.shutdown().await;
        let mut sink = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut sink)).await;
        read.expect("the connection stays open").ok();
        assert_ne!(sink.first(), Some(&0), "taken");
    }
    // Unknown methods and services are refused by policy, with a reason.
    let mut grpc = tonic::client::Grpc::new(agent.channel().await);
    grpc.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/life.agent.v1.Crypto/Steal");
    let codec = tonic_prost::ProstCodec::<v1::LockRequest, v1::LockResponse>::default();
    let status = grpc.unary(tonic::Request::new(v1::LockRequest {}), path, codec).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    clients.status().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_else() {
    let (_platform, agent, mut clients, user) = ready().await;
    let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
    let pid = clients.status().await.broker.unwrap().pid;
    let (_, before) = life_e2e::process::memory_kib(pid);
    // It offers 512 MiB and never reads an answer: backpressure stops it.
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = sent.clone();
    let chunk = Bytes::from(vec![0; 1 << 20]);
    let messages = (0..513).map(move |i| {
        count.store(i, std::sync::atomic::Ordering::Relaxed);
        let message = if i == 0 {
            v1::encrypt_stream_request::Message::Header(header.clone())
        } else {
            v1::encrypt_stream_request::Message::Chunk(chunk.clone())
        };
        v1::EncryptStreamRequest { message: Some(message) }
    });
    let mut greedy = agent.clients().await;
    let _unread = greedy.crypto.encrypt_stream(tokio_stream::iter(messages)).await.unwrap();
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = sent.load(std::sync::atomic::Ordering::Relaxed);
        if now == last && now > 0 {
            break;
        }
        last = now;
    }
    assert!(last < 100, "{last} MiB were taken from a client that does not read");
    let (_, after) = life_e2e::process::memory_kib(pid);
    assert!(after < before + 64 * 1024, "memory went from {before} to {after} KiB");
    let plaintext = vec![1; 2_000_000];
    let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
    streams::encrypt(&mut clients, header, &plaintext).await.unwrap();
}
