//! Cut at the end, or ended where it was to go on.

use life_e2e::documents::{share, upload};
use life_e2e::uploading::{MIB, content, count, open, open_uploads, until};
use life_e2e::{Agent, Reason, User, forge};
use life_pki::Uid;
use life_proto::v1::{ParticipantKind, UploadDocumentHeader, UploadDocumentResponse};
use rusqlite::params;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::scene::Scene;

impl Scene {
    /// Begins an upload, and waits until more than this has arrived, all but its commit; what comes next is held.
    async fn up_to_commit(
        &self,
        header: &UploadDocumentHeader,
        content: &[u8],
        size: usize,
    ) -> JoinHandle<Result<UploadDocumentResponse, Status>> {
        let database = open(&self.platform);
        self.tap
            .hold_request_when(move || count(&database, "received), 0) FROM document_upload") > size as i64);
        let (mut clients, header, content) = (self.clients.clone(), header.clone(), content.to_vec());
        let call = tokio::spawn(async move { upload(&mut clients, header, &content).await });
        self.tap.held().await;
        call
    }

    fn journalled(&self, header: &UploadDocumentHeader) -> Vec<u8> {
        std::fs::read(self.journal(header)).unwrap()
    }
}

/// The first block that a call lets out, into a fresh journal, would be one that the trailer is in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trailer_that_fills_the_first_block_stays_out_of_the_journal() {
    let mut scene = Scene::start().await;
    let two = content(2);
    let mut filled = false;
    for short in [2500, 3500, 4500] {
        let header = scene.header();
        let content = &two[..2 * MIB - short];
        let call = scene.up_to_commit(&header, content, content.len()).await;
        assert_eq!(scene.journalled(&header), b"", "{short}");
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        scene.tap.release();
        // Nobody goes on with it: it is given up.
        until("the end of the call", || open_uploads(&scene.platform) == 0).await;
        let stored = upload(&mut scene.clients, header.clone(), content).await.unwrap();
        assert_eq!((stored.version, stored.resumed_size, stored.existed), (1, 0, false));
        filled |= stored.ciphertext_size > 2 * MIB as u64;
        scene.check(&header, content).await;
    }
    assert!(filled, "no trailer is that long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_twice_with_everything_sent_has_one_trailer() {
    let mut scene = Scene::start().await;
    let header = scene.header();
    let whole = content(9);
    let mut journals = Vec::new();
    for _ in 0..2 {
        let call = scene.up_to_commit(&header, &whole, whole.len()).await;
        journals.push(scene.journalled(&header));
        scene.agent.kill();
        scene.tap.release();
        assert!(call.await.unwrap().is_err());
        scene.kill_broker().await;
    }
    assert_eq!(journals[0], journals[1]);
    let stored = upload(&mut scene.clients, header.clone(), &whole).await.unwrap();
    assert_eq!((stored.version, stored.existed), (1, false));
    assert_eq!(stored.resumed_size, stored.ciphertext_size);
    assert!(scene.is_stream_of(&journals[0]));
    scene.check(&header, &whole).await;
}

/// The platform has committed, its answer is lost, and somebody shares the version before it is asked again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_repeated_after_a_sharing_is_done() {
    let mut scene = Scene::start().await;
    let nurse = User::ready(&mut scene.clients, ParticipantKind::HealthCareProfessional).await;
    let other = Agent::start(&scene.platform);
    let mut others = other.clients().await;
    scene.clinic.unlock(&mut others).await;
    let header = scene.header();
    let database = open(&scene.platform);
    scene.tap.lose_answers_when(move || count(&database, "1), 0) FROM document") > 0);
    let (mut clients, begun) = (scene.clients.clone(), header.clone());
    let call = tokio::spawn(async move { upload(&mut clients, begun, &content(3)).await });
    let database = open(&scene.platform);
    until("the commit", || count(&database, "1), 0) FROM document") > 0).await;
    share(&mut others, &scene.clinic, &header.document_id, &[&nurse]).await.unwrap();
    scene.tap.mend();
    let stored = call.await.unwrap().unwrap();
    assert_eq!((stored.version, stored.existed, stored.readers.len()), (1, false, 3));
    scene.check(&header, &content(3)).await;

    // The same once more: it is there, whoever it was shared with. For others from the start it would be another.
    let again = upload(&mut scene.clients, header.clone(), &content(3)).await.unwrap();
    assert_eq!((again.version, again.existed, again.readers.len()), (1, true, 3));
    let fewer = UploadDocumentHeader { readers: vec![], ..header.clone() };
    assert_eq!(upload(&mut scene.clients, fewer, &content(3)).await.reason(), "VERSION_CONFLICT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_whose_reader_is_refused_by_now_is_given_up() {
    let mut scene = Scene::start().await;
    let header = scene.header();
    let uploading = scene.begin(&header, 12, 4).await;
    scene.kill_broker().await;
    assert!(uploading.end().await.is_err());
    assert_eq!(open_uploads(&scene.platform), 1);
    let uid: Uid = scene.patient.uid().parse().unwrap();
    let database = open(&scene.platform);
    let log = database.execute("DELETE FROM log_entry WHERE uid = ?1", [uid.as_bytes()]).unwrap();
    assert!(log > 0);
    for (position, der) in forge::account(uid).log.iter().enumerate() {
        let row = params![uid.as_bytes(), position as i64, der];
        database.execute("INSERT INTO log_entry (uid, position, der) VALUES (?1, ?2, ?3)", row).unwrap();
    }
    let refused = upload(&mut scene.clients, header.clone(), &content(12)).await;
    assert_eq!(refused.reason(), "IDENTITY_CHANGED");
    until("the end of the upload", || open_uploads(&scene.platform) == 0).await;
    assert!(!scene.journal(&header).exists());
}
