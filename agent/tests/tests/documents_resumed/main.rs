//! Uploads that go on after their call was cut: by the caller, a kill of the broker, or both ends at once.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod ends;
mod scene;

use life_e2e::documents::{download, upload};
use life_e2e::uploading::{MIB, content, count, open, open_uploads, received, until};
use life_e2e::{Platform, Reason};

use scene::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_broker_was_killed_only_the_rest_is_sent() {
    let mut scene = Scene::start().await;
    let header = scene.header();
    let before = scene.tap.asked();
    let uploading = scene.begin(&header, 20, 12).await;
    scene.kill_broker().await;
    assert!(uploading.end().await.is_err());
    let journal = std::fs::read(scene.journal(&header)).unwrap();

    let stored = upload(&mut scene.clients, header.clone(), &content(24)).await.unwrap();
    assert!((stored.version, stored.existed) == (1, false));
    assert!(stored.resumed_size >= 12 * MIB as u64, "{}", stored.resumed_size);
    // What was on its way when the broker died is sent again: three blocks at the most.
    let sent = scene.tap.asked() - before;
    assert!(sent < 31 * MIB as u64, "{sent} bytes were sent for a document of 24 MiB");
    assert!(scene.is_stream_of(&journal));
    scene.check(&header, &content(24)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_caller_went_away_and_the_platform_died_too() {
    let mut scene = Scene::start().await;
    let header = scene.header();
    for arrived in [4, 8] {
        let already = received(&scene.platform) as usize / MIB;
        let uploading = scene.begin(&header, arrived + 4, arrived - already).await;
        scene.cut(uploading, &header).await;
        scene.platform.kill_serve();
        scene.platform.start_serve();
    }
    let stored = upload(&mut scene.clients, header.clone(), &content(13)).await.unwrap();
    assert!(stored.resumed_size >= 8 * MIB as u64, "{}", stored.resumed_size);
    scene.check(&header, &content(13)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_everything_sent_before_nothing_is_sent_again() {
    let mut scene = Scene::start().await;
    let header = scene.header();
    let database = open(&scene.platform);
    // The end of the stream has arrived, and its commit is still to come.
    let whole = (9 * MIB) as i64;
    scene.tap.hold_request_when(move || count(&database, "received), 0) FROM document_upload") > whole);
    let (mut clients, again) = (scene.clients.clone(), header.clone());
    let first = tokio::spawn(async move { upload(&mut clients, again, &content(9)).await });
    scene.tap.held().await;
    let journal = std::fs::read(scene.journal(&header)).unwrap();
    scene.agent.kill();
    scene.tap.release();
    assert!(first.await.unwrap().is_err());
    scene.kill_broker().await;
    let before = scene.tap.asked();
    let stored = upload(&mut scene.clients, header.clone(), &content(9)).await.unwrap();
    assert_eq!(stored.resumed_size, stored.ciphertext_size);
    assert!(scene.tap.asked() - before < MIB as u64 / 2);
    assert!(scene.is_stream_of(&journal));
    scene.check(&header, &content(9)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_content_gets_another_key() {
    let mut scene = Scene::start().await;
    // Differs early, late, by its end, and too late to be read once more.
    let early = [b"another".to_vec(), content(24)].concat();
    let late = [content(9), b"another".to_vec(), content(15)].concat();
    let short = content(3);
    for (other, at_once) in [(early, true), (late, true), (short, true), (content(19), false)] {
        let header = scene.header();
        let uploading = scene.begin(&header, 24, if at_once { 12 } else { 20 }).await;
        scene.kill_broker().await;
        assert!(uploading.end().await.is_err());
        let journal = std::fs::read(scene.journal(&header)).unwrap();
        if !at_once {
            let refused = upload(&mut scene.clients, header.clone(), &other).await;
            assert_eq!(refused.reason(), "RESOURCE_EXHAUSTED");
        }
        let stored = upload(&mut scene.clients, header.clone(), &other).await.unwrap();
        assert!((stored.resumed_size, stored.existed) == (0, false));
        assert!(!scene.is_stream_of(&journal));
        scene.check(&header, &other).await;
        let id = header.document_id.clone();
        life_e2e::documents::delete(&mut scene.clients, &scene.clinic, &id, 0).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_readers_and_a_damaged_journal_begin_anew() {
    let mut scene = Scene::start().await;
    for damage in [Some(0), Some(700), Some(usize::MAX), None] {
        let mut header = scene.header();
        let uploading = scene.begin(&header, 12, 4).await;
        scene.kill_broker().await;
        assert!(uploading.end().await.is_err());
        let path = scene.journal(&header);
        let journal = std::fs::read(&path).unwrap();
        match damage {
            // One that knows of less than was sent, as a copy from earlier would: its first entry.
            Some(usize::MAX) => {
                let length = u32::from_be_bytes(journal[1..5].try_into().unwrap());
                std::fs::write(&path, &journal[..5 + length as usize + 32]).unwrap();
            }
            Some(at) => {
                let mut bent = journal.clone();
                bent[at] ^= 1;
                std::fs::write(&path, bent).unwrap();
            }
            None => header.readers.clear(),
        }
        let stored = upload(&mut scene.clients, header.clone(), &content(12)).await.unwrap();
        assert_eq!(stored.resumed_size, 0, "{damage:?}");
        assert!(!scene.is_stream_of(&journal));
        header.readers = vec![scene.clinic.name.clone()];
        let got = download(&mut scene.clients, &scene.clinic, &header.document_id).await.unwrap();
        assert!(got.content == content(12));
        until("the end of all uploads", || open_uploads(&scene.platform) <= 3).await;
        life_e2e::documents::delete(&mut scene.clients, &scene.clinic, &header.document_id, 0).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_were_cut_make_room_for_others() {
    let limit = |text: &str| {
        assert!(text.contains("\ndocument_uploads = "), "{text}");
        let line = |line: &str| {
            if line.starts_with("document_uploads = ") {
                "document_uploads = 1".into()
            } else {
                line.to_owned()
            }
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    };
    let mut scene = Scene::over(Platform::start_edited(&["--approval", "auto"], limit)).await;
    let (first, second) = (scene.header(), scene.header());
    let uploading = scene.begin(&first, 9, 4).await;
    // At work it keeps its room.
    let refused = upload(&mut scene.clients, second.clone(), b"short").await;
    assert_eq!(refused.reason(), "DOCUMENTS_FULL");
    scene.cut(uploading, &first).await;
    assert_eq!(open_uploads(&scene.platform), 1);
    assert_eq!(upload(&mut scene.clients, second.clone(), b"short").await.unwrap().version, 1);
    scene.check(&second, b"short").await;
    let stored = upload(&mut scene.clients, first.clone(), &content(9)).await.unwrap();
    assert_eq!(stored.resumed_size, 0);
    scene.check(&first, &content(9)).await;
}
