//! Documents while the platform dies, comes back, stays away, or loses its answers, and while their owner is locked.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};

use life_e2e::agent::Clients;
use life_e2e::documents::{self, download, fresh_id, get, header, upload};
use life_e2e::uploading::{MIB, Uploading, content, count, open, open_uploads, received, until};
use life_e2e::{Agent, Platform, Reason, Tap, User};
use life_proto::v1;
use tonic::{Status, Streaming};
use v1::ParticipantKind;

async fn users(clients: &mut Clients) -> (User, User) {
    let clinic = User::ready(clients, ParticipantKind::Institution).await;
    let patient = User::ready(clients, ParticipantKind::Patient).await;
    (clinic, patient)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_where_a_platform_died() {
    let mut platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let (clinic, patient) = users(&mut clients).await;
    let id = fresh_id();
    let mut uploading = Uploading::begin(&clients, header(&clinic, &id, &[&patient])).await;
    for round in 1..=3 {
        uploading.give(9).await;
        let some = (round * 4 * MIB) as i64;
        until("part of the upload", || received(&platform) >= some).await;
        platform.kill_serve();
        platform.start_serve();
    }
    let stored = uploading.end().await.unwrap();
    assert_eq!((stored.version, stored.plaintext_size), (1, (27 * MIB) as u64));
    let got = download(&mut clients, &patient, &id).await.unwrap();
    assert!(got.content == content(27));
    assert_eq!(open_uploads(&platform), 0, "no upload is left open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_to_a_platform_that_stays_away_ends_and_can_be_repeated() {
    let mut platform = Platform::start();
    let agent = Agent::start_with(&platform, "[limits]\nplatform_patience_seconds = 1\n");
    let mut clients = agent.clients().await;
    let (clinic, patient) = users(&mut clients).await;
    let id = fresh_id();
    let header = header(&clinic, &id, &[&patient]);
    let mut uploading = Uploading::begin(&clients, header.clone()).await;
    uploading.give(5).await;
    until("part of the upload", || received(&platform) > 0).await;
    platform.kill_serve();
    uploading.give(5).await;
    assert_eq!(uploading.end().await.reason(), "PLATFORM_UNAVAILABLE");
    platform.start_serve();
    assert_eq!(get(&mut clients, &clinic, &id).await.reason(), "DOCUMENT_NOT_FOUND", "nothing is seen of it");
    let stored = upload(&mut clients, header, &content(10)).await.unwrap();
    assert!(stored.version == 1 && !stored.existed);
    assert!(download(&mut clients, &patient, &id).await.unwrap().content == content(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_ends_an_upload_and_a_caller_that_goes_away_too() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let (clinic, patient) = users(&mut clients).await;
    let id = fresh_id();
    let header = header(&clinic, &id, &[&patient]);
    let mut uploading = Uploading::begin(&clients, header.clone()).await;
    uploading.give(5).await;
    until("part of the upload", || received(&platform) > 0).await;
    let lock = v1::LockCredentialRequest { user: clinic.name.clone() };
    clients.credentials.lock(lock).await.unwrap();
    assert_eq!(uploading.call.await.unwrap().reason(), "CREDENTIAL_LOCKED");
    clinic.unlock(&mut clients).await;
    assert_eq!(get(&mut clients, &clinic, &id).await.reason(), "DOCUMENT_NOT_FOUND");

    // A call that is dropped before it has sent much takes its upload along; what the lock cut goes on.
    let other = documents::header(&clinic, &fresh_id(), &[]);
    let mut uploading = Uploading::begin(&clients, other).await;
    uploading.give(1).await;
    until("another upload", || open_uploads(&platform) == 2).await;
    uploading.call.abort();
    until("its end", || open_uploads(&platform) == 1).await;
    let stored = upload(&mut clients, header, &content(6)).await.unwrap();
    assert!(!stored.existed && stored.resumed_size >= 2 * MIB as u64);
    assert_eq!(open_uploads(&platform), 0);
    assert!(download(&mut clients, &patient, &id).await.unwrap().content == content(6));
}

/// Reads so many chunks of a download.
async fn some(answers: &mut Streaming<v1::DownloadDocumentResponse>, chunks: usize) -> Vec<u8> {
    let mut content = Vec::new();
    let mut count = 0;
    while count < chunks {
        if let Some(v1::download_document_response::Message::Chunk(chunk)) =
            answers.message().await.unwrap().unwrap().message
        {
            content.extend_from_slice(&chunk);
            count += 1;
        }
    }
    content
}

/// Reads a download to its end.
async fn rest(answers: &mut Streaming<v1::DownloadDocumentResponse>) -> Result<Vec<u8>, Status> {
    use v1::download_document_response::Message as Answer;
    let mut content = Vec::new();
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(Answer::Chunk(chunk)) => content.extend_from_slice(&chunk),
            Some(Answer::Result(_)) => return Ok(content),
            _ => panic!("the document comes first"),
        }
    }
    panic!("it ended without a result")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_goes_on_where_a_platform_died_unless_the_document_has_changed() {
    let mut platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let (clinic, patient) = users(&mut clients).await;
    let id = fresh_id();
    let first = header(&clinic, &id, &[&patient]);
    // More than all buffers between platform and reader take.
    let content = content(64);
    upload(&mut clients, first.clone(), &content).await.unwrap();
    let request = v1::DownloadDocumentRequest {
        user: patient.name.clone(),
        document_id: id.clone(),
        version: 0,
        allow_unverified_sender: true,
    };
    let mut answers = clients.documents.download(request.clone()).await.unwrap().into_inner();
    let mut got = some(&mut answers, 3).await;
    platform.kill_serve();
    platform.start_serve();
    got.extend(some(&mut answers, 20).await);
    platform.kill_serve();
    platform.start_serve();
    got.extend(rest(&mut answers).await.unwrap());
    assert!(got == content);

    let mut answers = clients.documents.download(request).await.unwrap().into_inner();
    some(&mut answers, 3).await;
    let second = v1::UploadDocumentHeader { replaces_version: 1, ..first };
    upload(&mut clients, second, b"new").await.unwrap();
    platform.kill_serve();
    platform.start_serve();
    assert_eq!(rest(&mut answers).await.reason(), "VERSION_CONFLICT");
}

/// Loses one answer, with its connection, once this holds.
fn lose_one(tap: &Tap, holds: impl Fn() -> bool + Send + 'static) {
    let lost = AtomicBool::new(false);
    tap.lose_answers_when(move || {
        !lost.load(Ordering::Relaxed) && holds() && !lost.swap(true, Ordering::Relaxed)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_answer_gets_lost_the_call_completes() {
    let platform = Platform::start();
    let tap = Tap::to(&platform).await;
    let mut agent = Agent::prepare_at(&tap.origin, &platform, "");
    agent.run();
    let mut clients = agent.clients().await;
    let (clinic, patient) = users(&mut clients).await;
    let physician = User::ready(&mut clients, ParticipantKind::HealthCareProfessional).await;
    let database = || open(&platform);
    let id = fresh_id();
    let uploads = database();
    lose_one(&tap, move || count(&uploads, "1), 0) FROM document_upload") == 1);
    upload(&mut clients, header(&clinic, &id, &[&patient]), &content(3)).await.unwrap();

    let other = fresh_id();
    let some = database();
    lose_one(&tap, move || count(&some, "received), 0) FROM document_upload") > MIB as i64);
    upload(&mut clients, header(&clinic, &other, &[&patient]), &content(3)).await.unwrap();

    let third = fresh_id();
    let committed = database();
    lose_one(&tap, move || count(&committed, "1), 0) FROM document") == 3);
    upload(&mut clients, header(&clinic, &third, &[&patient]), &content(3)).await.unwrap();

    let shared = database();
    lose_one(&tap, move || count(&shared, "revision), 0) FROM document") == 1);
    let answer = documents::share(&mut clients, &clinic, &id, &[&physician]).await.unwrap();
    assert_eq!((answer.revision, answer.readers.len()), (1, 3));

    let deleted = database();
    lose_one(&tap, move || count(&deleted, "1), 0) FROM document WHERE deleted IS NOT NULL") == 1);
    documents::delete(&mut clients, &clinic, &third, 1).await.unwrap();
    for id in [&id, &other] {
        assert!(download(&mut clients, &patient, id).await.unwrap().content == content(3));
    }
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told() {
    let limit = |text: &str| {
        assert!(text.contains("\n[limits]\n"), "{text}");
        text.lines()
            .map(|line| if line.starts_with("documents = ") { "documents = 1" } else { line })
            .collect::<Vec<_>>()
            .join("\n")
    };
    let platform = Platform::start_edited(&["--approval", "auto"], limit);
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let (clinic, patient) = users(&mut clients).await;
    let first = header(&clinic, &fresh_id(), &[&patient]);
    upload(&mut clients, first, b"one").await.unwrap();
    let second = header(&clinic, &fresh_id(), &[&patient]);
    let status = upload(&mut clients, second, b"two").await.unwrap_err();
    assert_eq!(status.reason(), "DOCUMENTS_FULL");
}
