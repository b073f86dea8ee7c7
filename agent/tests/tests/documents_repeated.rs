//! One document changed by several calls at once: uploaded, shared, unshared.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use life_e2e::agent::Clients;
use life_e2e::documents::{download, fresh_id, get, header, names, share, unshare, upload};
use life_e2e::uploading::{MIB, Uploading, content, count, open, open_uploads, received, until};
use life_e2e::{Agent, Platform, Reason, Tap, User};
use life_proto::v1;
use v1::ParticipantKind;

async fn users(clients: &mut Clients) -> (User, User) {
    let clinic = User::ready(clients, ParticipantKind::Institution).await;
    let patient = User::ready(clients, ParticipantKind::Patient).await;
    (clinic, patient)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_came_while_it_was_sent_again_is_the_same_or_a_conflict() {
    let platform = Platform::start();
    let agent = Agent::start(&platform);
    let mut clients = agent.clients().await;
    let (clinic, patient) = users(&mut clients).await;
    let id = fresh_id();
    let first = header(&clinic, &id, &[&patient]);
    let another = v1::UploadDocumentHeader { title: "another".to_owned(), ..first.clone() };

    // All of them have begun, and sent something, when the first one is through.
    let mut same = Uploading::begin(&clients, first.clone()).await;
    same.give(5).await;
    let mut differs = Uploading::begin(&clients, first.clone()).await;
    differs.give(4).await;
    differs.give_other(Bytes::from_static(b"something else")).await;
    let mut said = Uploading::begin(&clients, another).await;
    said.give(5).await;
    until("part of all", || received(&platform) >= 12 * MIB as i64).await;
    let stored = upload(&mut clients, first, &content(9)).await.unwrap();
    assert!(stored.version == 1 && !stored.existed);

    same.give(4).await;
    let found = same.end().await.unwrap();
    assert_eq!((found.version, found.existed, found.plaintext_size), (1, true, 9 * MIB as u64));
    assert_eq!((found.ciphertext_size, found.readers.len()), (stored.ciphertext_size, 2));
    differs.give(4).await;
    assert_eq!(differs.end().await.reason(), "VERSION_CONFLICT");
    said.give(4).await;
    assert_eq!(said.end().await.reason(), "VERSION_CONFLICT");
    assert!(download(&mut clients, &patient, &id).await.unwrap().content == content(9));
    until("the end of the others", || open_uploads(&platform) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_comes_second_finds_the_first() {
    let platform = Platform::start();
    let tap = Tap::to(&platform).await;
    let mut agent = Agent::prepare_at(&tap.origin, &platform, "");
    agent.run();
    let mut clients = agent.clients().await;
    let (clinic, patient) = users(&mut clients).await;
    for (late, existed) in [(&b"finding"[..], true), (b"another", false)] {
        let id = fresh_id();
        let header = header(&clinic, &id, &[&patient]);
        // The late one has sent all its content, and is held before it commits.
        let database = open(&platform);
        tap.hold_request_when(move || count(&database, "received), 0) FROM document_upload") > 0);
        let (mut other, again, content) = (clients.clone(), header.clone(), late.to_vec());
        let late = tokio::spawn(async move { upload(&mut other, again, &content).await });
        tap.held().await;
        assert!(!upload(&mut clients, header, b"finding").await.unwrap().existed);
        tap.release();
        match late.await.unwrap() {
            Ok(found) => assert!(existed && found.existed && found.version == 1),
            refused => assert!(!existed && refused.reason() == "VERSION_CONFLICT"),
        }
        assert_eq!(download(&mut clients, &patient, &id).await.unwrap().content, b"finding");
    }
}

fn readers(document: &v1::Document, owner: &User) -> Vec<String> {
    let mut readers = names(&document.readers);
    readers.retain(|name| *name != owner.name);
    readers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_added_meanwhile_stays_and_who_was_removed_stays_away() {
    let platform = Platform::start();
    let tap = Tap::to(&platform).await;
    let mut agent = Agent::prepare_at(&tap.origin, &platform, "");
    agent.run();
    let mut clients = agent.clients().await;
    let (clinic, patient) = users(&mut clients).await;
    let physician = User::ready(&mut clients, ParticipantKind::HealthCareProfessional).await;
    let nurse = User::ready(&mut clients, ParticipantKind::HealthCareProfessional).await;
    let mut expected = vec![patient.name.clone(), nurse.name.clone()];
    expected.sort();

    // Unshared, and shared with another before that is committed.
    let id = fresh_id();
    upload(&mut clients, header(&clinic, &id, &[&patient, &physician]), &content(3)).await.unwrap();
    let database = open(&platform);
    tap.hold_request_when(move || count(&database, "received), 0) FROM document_upload") > 3 * MIB as i64);
    let (mut other, who, what, whom) = (clients.clone(), clinic.clone(), id.clone(), physician.clone());
    let unsharing = tokio::spawn(async move { unshare(&mut other, &who, &what, &[&whom]).await });
    tap.held().await;
    assert_eq!(share(&mut clients, &clinic, &id, &[&nurse]).await.unwrap().revision, 1);
    tap.release();
    assert_eq!(unsharing.await.unwrap().unwrap().version, 2);
    let document = get(&mut clients, &clinic, &id).await.unwrap();
    assert_eq!(readers(&document, &clinic), expected);
    assert!(download(&mut clients, &nurse, &id).await.unwrap().content == content(3));
    assert_eq!(get(&mut clients, &physician, &id).await.reason(), "DOCUMENT_NOT_FOUND");

    // Shared, and unshared after that has looked at the document.
    let id = fresh_id();
    upload(&mut clients, header(&clinic, &id, &[&patient, &physician]), &content(3)).await.unwrap();
    tap.hold_next();
    let (mut other, who, what, whom) = (clients.clone(), clinic.clone(), id.clone(), nurse.clone());
    let sharing = tokio::spawn(async move { share(&mut other, &who, &what, &[&whom]).await });
    tap.held().await;
    assert_eq!(unshare(&mut clients, &clinic, &id, &[&physician]).await.unwrap().version, 2);
    tap.release();
    assert_eq!(sharing.await.unwrap().unwrap().version, 2);
    let document = get(&mut clients, &clinic, &id).await.unwrap();
    assert_eq!(readers(&document, &clinic), expected);
    assert_eq!(get(&mut clients, &physician, &id).await.reason(), "DOCUMENT_NOT_FOUND");

    // Replaced for the same readers, and shared before that is committed.
    let again =
        v1::UploadDocumentHeader { replaces_version: 2, keep_readers: true, ..header(&clinic, &id, &[]) };
    let mut replacing = Uploading::begin(&clients, again.clone()).await;
    replacing.give(5).await;
    until("part of the upload", || received(&platform) > 0).await;
    share(&mut clients, &clinic, &id, &[&physician]).await.unwrap();
    assert_eq!(replacing.end().await.reason(), "VERSION_CONFLICT");
    assert_eq!(upload(&mut clients, again, &content(5)).await.unwrap().version, 3);
    assert!(download(&mut clients, &physician, &id).await.unwrap().content == content(5));
}
