//! Documents as their users see them: stored, read, replaced, shared, unshared, deleted.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use life_e2e::agent::Clients;
use life_e2e::documents::{self, download, fresh_id, get, header, list, names, upload};
use life_e2e::{Agent, Platform, Reason, User};
use life_proto::v1;
use v1::{DocumentStatus, ParticipantKind, SignatureState};

/// A platform, an agent on it, and three unlocked users.
struct Stage {
    platform: Platform,
    _agent: Agent,
    clients: Clients,
    clinic: User,
    patient: User,
    physician: User,
}

async fn stage() -> Stage {
    let platform = Platform::start();
    let agent = Agent::start_with(&platform, "[directory]\nrefresh_seconds = 0\n");
    let mut clients = agent.clients().await;
    let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
    let patient = User::ready(&mut clients, ParticipantKind::Patient).await;
    let physician = User::ready(&mut clients, ParticipantKind::HealthCareProfessional).await;
    Stage { platform, _agent: agent, clients, clinic, patient, physician }
}

fn sorted(users: &[&User]) -> Vec<String> {
    let mut names: Vec<_> = users.iter().map(|user| user.name.clone()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_document_lives() {
    let mut stage = stage().await;
    let clients = &mut stage.clients;
    let (clinic, patient, physician) = (&stage.clinic, &stage.patient, &stage.physician);
    let id = fresh_id();
    let content = b"Befund: unauffaellig. ".repeat(100_000);
    let coding =
        v1::Coding { system: "http://loinc.org".into(), code: "11488-4".into(), display: "Note".into() };
    let first = v1::UploadDocumentHeader { r#type: Some(coding.clone()), ..header(clinic, &id, &[patient]) };
    let stored = upload(clients, first.clone(), &content).await.unwrap();
    assert_eq!((stored.document_id.as_str(), stored.version, stored.existed), (id.as_str(), 1, false));
    assert_eq!(stored.plaintext_size, content.len() as u64);
    assert_eq!(names(&stored.readers), sorted(&[clinic, patient]));

    // Both read the same; who was not named reads nothing, and learns no more than of an id that nobody has.
    for reader in [clinic, patient] {
        let got = download(clients, reader, &id).await.unwrap();
        assert_eq!(got.content, content);
        let (document, signature) = (got.document, got.result.signature.unwrap());
        assert_eq!((document.owner.as_str(), document.version), (clinic.name.as_str(), 1));
        assert_eq!(
            (signature.signer.as_str(), signature.state()),
            (clinic.name.as_str(), SignatureState::Valid)
        );
        assert!(signature.receipt_time.is_some(), "the platform's receipt over the content");
        let described = document.signature.unwrap();
        assert!(described.receipt_time.is_some(), "the receipt that the description's envelope carries");
        let description = document.description.unwrap();
        assert_eq!(description.title, first.title);
        assert_eq!(description.r#type.as_ref(), Some(&coding));
        assert_eq!(
            (description.content_type.as_str(), description.content_size),
            ("text/plain", content.len() as u64)
        );
        let fhir: serde_json::Value = serde_json::from_slice(&description.document_reference).unwrap();
        assert_eq!(fhir["resourceType"], "DocumentReference");
        assert_eq!(fhir["masterIdentifier"]["value"], format!("urn:uuid:{id}"));
    }
    for nothing in [&id, &fresh_id()] {
        assert_eq!(get(clients, physician, nothing).await.reason(), "DOCUMENT_NOT_FOUND");
        assert_eq!(download(clients, physician, nothing).await.reason(), "DOCUMENT_NOT_FOUND");
    }
    assert!(list(clients, physician, 0).await.unwrap().is_empty());

    // The same call again finds what is there; other content does not replace it, nor does another version's number.
    let again = upload(clients, first.clone(), &content).await.unwrap();
    assert!(again.existed && again.version == 1);
    let status = upload(clients, first.clone(), b"something else").await.unwrap_err();
    assert_eq!(status.reason(), "VERSION_CONFLICT");
    // Nor does another description of the same content: its writer learns that it was not stored.
    let other = br#"{"status":"entered-in-error","author":[{"display":"somebody else"}]}"#;
    let other = v1::UploadDocumentHeader { document_reference: other.to_vec().into(), ..first.clone() };
    assert_eq!(upload(clients, other, &content).await.reason(), "VERSION_CONFLICT");
    let late = v1::UploadDocumentHeader { replaces_version: 2, ..first.clone() };
    assert_eq!(upload(clients, late, &content).await.reason(), "VERSION_CONFLICT");
    let unknown = v1::UploadDocumentHeader { document_id: fresh_id(), replaces_version: 2, ..first.clone() };
    assert_eq!(upload(clients, unknown, &content).await.reason(), "DOCUMENT_NOT_FOUND");

    // Sharing, twice: the second time there is nothing to do.
    for revision in [1, 1] {
        let shared = documents::share(clients, clinic, &id, &[physician]).await.unwrap();
        assert_eq!((shared.version, shared.revision), (1, revision));
        assert_eq!(names(&shared.readers), sorted(&[clinic, patient, physician]));
    }
    let got = download(clients, physician, &id).await.unwrap();
    assert_eq!(got.content, content);
    let added = got.result.readers.iter().find(|it| it.user == physician.name).unwrap();
    assert_eq!(
        (added.origin(), added.shared_by.as_str()),
        (v1::recipient::Origin::Shared, clinic.name.as_str())
    );

    // A new version for those who read the old one.
    let second = v1::UploadDocumentHeader {
        replaces_version: 1,
        readers: Vec::new(),
        keep_readers: true,
        title: "Befund, ergaenzt".into(),
        ..first.clone()
    };
    let stored = upload(clients, second.clone(), b"Nachtrag").await.unwrap();
    assert_eq!((stored.version, stored.readers.len()), (2, 3));
    let again = upload(clients, second, b"Nachtrag").await.unwrap();
    assert!(again.existed && again.version == 2);
    let got = download(clients, physician, &id).await.unwrap();
    assert_eq!(
        (got.content.as_slice(), got.document.version, got.document.revision),
        (&b"Nachtrag"[..], 2, 0)
    );

    // Unsharing: the others go on reading a new version, under the same description.
    for _ in 0..2 {
        let left = documents::unshare(clients, clinic, &id, &[physician]).await.unwrap();
        assert_eq!((left.version, names(&left.readers)), (3, sorted(&[clinic, patient])));
    }
    assert_eq!(download(clients, physician, &id).await.reason(), "DOCUMENT_NOT_FOUND");
    let got = download(clients, patient, &id).await.unwrap();
    assert_eq!(got.content, b"Nachtrag");
    assert_eq!(got.document.description.unwrap().title, "Befund, ergaenzt");

    // Only the owner changes it.
    assert_eq!(documents::share(clients, patient, &id, &[physician]).await.reason(), "NOT_THE_OWNER");
    assert_eq!(documents::unshare(clients, patient, &id, &[physician]).await.reason(), "NOT_THE_OWNER");
    assert_eq!(documents::delete(clients, patient, &id, 0).await.reason(), "NOT_THE_OWNER");
    let theirs = v1::UploadDocumentHeader { replaces_version: 3, ..header(patient, &id, &[]) };
    assert_eq!(upload(clients, theirs, b"x").await.reason(), "NOT_THE_OWNER");
    let status = upload(clients, header(physician, &id, &[]), b"x").await.unwrap_err();
    assert_eq!(status.reason(), "VERSION_CONFLICT");

    // Deleted is deleted, and its id is taken.
    assert_eq!(documents::delete(clients, clinic, &id, 2).await.reason(), "VERSION_CONFLICT");
    for version in [3, 3, 0] {
        documents::delete(clients, clinic, &id, version).await.unwrap();
    }
    assert_eq!(get(clients, clinic, &id).await.unwrap().status(), DocumentStatus::Deleted);
    assert_eq!(download(clients, clinic, &id).await.reason(), "DOCUMENT_NOT_FOUND");
    assert_eq!(get(clients, patient, &id).await.reason(), "DOCUMENT_NOT_FOUND");
    assert_eq!(upload(clients, first, &content).await.reason(), "VERSION_CONFLICT");
    drop(stage.platform);
}

#[tokio::test]
async fn contents_of_every_length_come_back() {
    let mut stage = stage().await;
    let clients = &mut stage.clients;
    let segment = life_envelope::stream::FIRST_SEGMENT;
    let lengths = [0, 1, segment - 1, segment, segment + 1, 2 * 1024 * 1024, 3_000_000, 64 << 20];
    for length in lengths {
        let id = fresh_id();
        let content: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        let header = header(&stage.clinic, &id, &[&stage.patient]);
        upload(clients, header.clone(), &content).await.unwrap();
        let again = upload(clients, header, &content).await.unwrap();
        assert!(again.existed, "{length}");
        let got = download(clients, &stage.patient, &id).await.unwrap();
        assert!(got.content == content, "{length}");
    }
    let listed = list(clients, &stage.patient, 3).await.unwrap();
    let sizes: Vec<_> = listed.iter().map(|it| it.description.as_ref().unwrap().content_size).collect();
    assert_eq!(sizes, lengths.map(|length| length as u64), "all of them, once, in an order that stays");
}

#[tokio::test]
async fn of_two_who_replace_the_same_version_one_does() {
    let mut stage = stage().await;
    let id = fresh_id();
    let first = header(&stage.clinic, &id, &[&stage.patient]);
    upload(&mut stage.clients, first.clone(), b"one").await.unwrap();
    let replacing = v1::UploadDocumentHeader { replaces_version: 1, ..first };
    let contents: Vec<Vec<u8>> = (0..6u8).map(|n| vec![n; 3 << 20]).collect();
    let calls = contents.iter().map(|content| {
        let (mut clients, header) = (stage.clients.clone(), replacing.clone());
        async move { upload(&mut clients, header, content).await }
    });
    let done = futures_util::future::join_all(calls).await;
    let won: Vec<_> = done.iter().enumerate().filter(|(_, it)| it.is_ok()).map(|(n, _)| n).collect();
    for lost in done.iter().filter(|it| it.is_err()) {
        assert_eq!(lost.reason(), "VERSION_CONFLICT");
    }
    assert_eq!(won.len(), 1, "{done:?}");
    let got = download(&mut stage.clients, &stage.patient, &id).await.unwrap();
    assert!(got.content == contents[won[0]] && got.document.version == 2);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let mut stage = stage().await;
    let clients = &mut stage.clients;
    let good = header(&stage.clinic, &fresh_id(), &[]);
    for bad in [
        v1::UploadDocumentHeader { document_id: "x".into(), ..good.clone() },
        v1::UploadDocumentHeader {
            document_id: "123e4567-e89b-12d3-a456-426614174000".into(),
            ..good.clone()
        },
        v1::UploadDocumentHeader { document_id: String::new(), replaces_version: 1, ..good.clone() },
        v1::UploadDocumentHeader { readers: vec!["nobody".into()], ..good.clone() },
        v1::UploadDocumentHeader { title: "x".repeat(1025), ..good.clone() },
        v1::UploadDocumentHeader { content_type: "text".into(), ..good.clone() },
        v1::UploadDocumentHeader { r#type: Some(v1::Coding::default()), ..good.clone() },
        v1::UploadDocumentHeader { document_reference: b"[]".to_vec().into(), ..good.clone() },
        v1::UploadDocumentHeader { replaces_version: u64::MAX, ..good.clone() },
    ] {
        assert_eq!(upload(clients, bad.clone(), b"x").await.reason(), "INVALID_ARGUMENT", "{bad:?}");
    }
    let stranger = v1::UploadDocumentHeader { readers: vec![format!("users/{}", fresh_id())], ..good };
    assert_eq!(upload(clients, stranger, b"x").await.reason(), "RECIPIENT_NOT_FOUND");
    assert_eq!(documents::share(clients, &stage.clinic, &fresh_id(), &[]).await.reason(), "INVALID_ARGUMENT");
    let own = documents::unshare(clients, &stage.clinic, &fresh_id(), &[&stage.clinic]).await;
    assert_eq!(own.reason(), "INVALID_ARGUMENT");
    assert!(list(clients, &stage.clinic, 0).await.unwrap().is_empty(), "nothing is left of refused uploads");
}

/// The platform's receipts prove when both parts and the sharing were signed.
#[tokio::test]
async fn a_document_outlives_its_owners_credential() {
    let mut stage = stage().await;
    let clients = &mut stage.clients;
    let id = fresh_id();
    upload(clients, header(&stage.clinic, &id, &[&stage.patient]), b"content").await.unwrap();
    documents::share(clients, &stage.clinic, &id, &[&stage.physician]).await.unwrap();
    // Revocations count by the second, and receipts too.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    let database = rusqlite::Connection::open(stage.platform.database()).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let uid: life_pki::Uid = stage.clinic.uid().parse().unwrap();
    let read = "SELECT id FROM credential WHERE uid = ?1";
    let credential: Vec<u8> = database.query_row(read, [uid.as_bytes()], |row| row.get(0)).unwrap();
    let credential = life_pki::account_log::CredentialId::from_slice(&credential).unwrap();
    stage.platform.run(&["revoke", stage.clinic.uid(), &credential.to_string()]);
    for reader in [&stage.patient, &stage.physician] {
        assert_eq!(download(clients, reader, &id).await.unwrap().content, b"content");
    }
    // Without the receipt over the content nothing proves that it is older; the description brings its own.
    assert_eq!(database.execute("UPDATE document SET receipt = NULL", []).unwrap(), 1);
    assert_eq!(get(clients, &stage.patient, &id).await.unwrap().readers.len(), 3);
    assert_eq!(download(clients, &stage.patient, &id).await.reason(), "SIGNER_TIME_UNPROVEN");
}
