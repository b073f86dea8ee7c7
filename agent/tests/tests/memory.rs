//! Constant memory: the bulk path takes no more for gigabytes than for one megabyte.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use life_e2e::agent::Clients;
use life_e2e::process::memory_kib;
use life_e2e::{Agent, Platform, User, documents};
use life_proto::v1;
use v1::ParticipantKind;

/// What a longer stream may add to the broker's peak, in KiB.
const ALLOWANCE_KIB: u64 = 32 * 1024;

/// Encrypts so many MiB and decrypts them at the same time, holding nothing; returns how many bytes came back.
async fn through(clients: &mut Clients, user: &User, mib: u64, allow_unverified_sender: bool) -> u64 {
    use v1::encrypt_stream_request::Message as Ask;
    use v1::encrypt_stream_response::Message as Answer;
    let header = v1::EncryptStreamHeader { user: user.name.clone(), ..Default::default() };
    let chunk = Bytes::from(vec![0x5a; 1 << 20]);
    let plain = std::iter::once(Ask::Header(header))
        .chain((0..mib).map(move |_| Ask::Chunk(chunk.clone())))
        .map(|message| v1::EncryptStreamRequest { message: Some(message) });
    let mut sealed = clients.crypto.encrypt_stream(tokio_stream::iter(plain)).await.unwrap().into_inner();

    let (send, receive) = tokio::sync::mpsc::channel(2);
    let header =
        v1::DecryptStreamHeader { user: user.name.clone(), allow_unverified_sender, ..Default::default() };
    let pump = tokio::spawn(async move {
        let ask = |message| v1::DecryptStreamRequest { message: Some(message) };
        send.send(ask(v1::decrypt_stream_request::Message::Header(header))).await.unwrap();
        while let Some(answer) = sealed.message().await.unwrap() {
            if let Some(Answer::Chunk(chunk)) = answer.message {
                send.send(ask(v1::decrypt_stream_request::Message::Chunk(chunk))).await.unwrap();
            }
        }
    });
    let stream = tokio_stream::wrappers::ReceiverStream::new(receive);
    let mut answers = clients.crypto.decrypt_stream(stream).await.unwrap().into_inner();
    let mut count = 0;
    let mut verified = false;
    while let Some(answer) = answers.message().await.unwrap() {
        match answer.message.unwrap() {
            v1::decrypt_stream_response::Message::Chunk(chunk) => count += chunk.len() as u64,
            v1::decrypt_stream_response::Message::Result(result) => {
                assert_eq!(result.signature.unwrap().state(), v1::SignatureState::Valid);
                verified = true;
            }
        }
    }
    pump.await.unwrap();
    assert!(verified, "the stream ended without a verdict");
    count
}

async fn peak_does_not_grow(mib: u64, early: bool) {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let user = User::ready(&mut clients, ParticipantKind::Patient).await;
    let pid = clients.status().await.broker.unwrap().pid;
    assert_eq!(through(&mut clients, &user, 1, early).await, 1 << 20);
    let (_, small) = memory_kib(pid);
    assert_eq!(through(&mut clients, &user, mib, early).await, mib << 20);
    let (_, large) = memory_kib(pid);
    assert!(large <= small + ALLOWANCE_KIB, "peak {small} KiB at 1 MiB, {large} KiB at {mib} MiB");
}

/// Stores a document of so many MiB, reads it back, and seals it anew without its reader, holding nothing.
async fn stored(clients: &mut Clients, owner: &User, reader: &User, mib: u64) {
    use v1::download_document_response::Message as Answer;
    let id = documents::fresh_id();
    let chunk = Bytes::from(vec![0x5a; 1 << 20]);
    let chunks = (0..mib).map(move |_| chunk.clone());
    documents::upload_chunks(clients, documents::header(owner, &id, &[reader]), chunks).await.unwrap();
    for allow_unverified_sender in [true, false] {
        let user = reader.name.clone();
        let request = v1::DownloadDocumentRequest {
            user,
            document_id: id.clone(),
            version: 1,
            allow_unverified_sender,
        };
        let mut answers = clients.documents.download(request).await.unwrap().into_inner();
        let (mut count, mut verified) = (0, false);
        while let Some(answer) = answers.message().await.unwrap() {
            match answer.message.unwrap() {
                Answer::Document(_) => {}
                Answer::Chunk(chunk) => count += chunk.len() as u64,
                Answer::Result(_) => verified = true,
            }
        }
        assert!(verified && count == mib << 20);
    }
    documents::unshare(clients, owner, &id, &[reader]).await.unwrap();
}

/// 128 MiB in everyday tests, 1 GiB with LIFE_SOAK.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_while_documents_are_stored_read_and_sealed_anew() {
    let mib = if std::env::var_os("LIFE_SOAK").is_some() { 1024 } else { 128 };
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let owner = User::ready(&mut clients, ParticipantKind::Institution).await;
    let reader = User::ready(&mut clients, ParticipantKind::Patient).await;
    let pid = clients.status().await.broker.unwrap().pid;
    // Enough to fill what is allowed to be filled: the blocks that wait for the platform.
    stored(&mut clients, &owner, &reader, 12).await;
    let (_, small) = memory_kib(pid);
    stored(&mut clients, &owner, &reader, mib).await;
    let (_, large) = memory_kib(pid);
    assert!(large <= small + ALLOWANCE_KIB, "peak {small} KiB at 12 MiB, {large} KiB at {mib} MiB");
}

/// 512 MiB in everyday tests, 4 GiB with LIFE_SOAK; the default path, which spools, as well as the early release.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat() {
    let mib = if std::env::var_os("LIFE_SOAK").is_some() { 4096 } else { 512 };
    for allow_unverified_sender in [true, false] {
        peak_does_not_grow(mib, allow_unverified_sender).await;
    }
}
