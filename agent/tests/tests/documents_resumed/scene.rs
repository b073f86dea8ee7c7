//! Where uploads are cut.

use std::fs::File;
use std::path::PathBuf;

use life_e2e::agent::Clients;
use life_e2e::documents::{download, fresh_id, header};
use life_e2e::uploading::{MIB, Uploading, open, open_uploads, received, until};
use life_e2e::{Agent, Platform, Tap, User};
use life_proto::v1::{ParticipantKind, UploadDocumentHeader};
use rustix::fs::{FlockOperation, flock};

/// An agent whose line to the platform the test holds, a clinic and a patient.
pub struct Scene {
    pub platform: Platform,
    pub tap: Tap,
    pub agent: Agent,
    pub clients: Clients,
    pub clinic: User,
    pub patient: User,
}

impl Scene {
    pub async fn start() -> Self {
        Self::over(Platform::start()).await
    }

    pub async fn over(platform: Platform) -> Self {
        let tap = Tap::to(&platform).await;
        let mut agent = Agent::prepare_at(&tap.origin, &platform, "");
        agent.run();
        let mut clients = agent.clients().await;
        let clinic = User::ready(&mut clients, ParticipantKind::Institution).await;
        let patient = User::ready(&mut clients, ParticipantKind::Patient).await;
        Self { platform, tap, agent, clients, clinic, patient }
    }

    pub fn header(&self) -> UploadDocumentHeader {
        header(&self.clinic, &fresh_id(), &[&self.patient])
    }

    /// Begins an upload and waits until that much of it has arrived.
    pub async fn begin(&self, header: &UploadDocumentHeader, chunks: usize, arrived: usize) -> Uploading {
        let before = received(&self.platform);
        let mut uploading = Uploading::begin(&self.clients, header.clone()).await;
        uploading.give(chunks).await;
        until("part of the upload", || received(&self.platform) - before >= (arrived * MIB) as i64).await;
        uploading
    }

    /// Ends a call from its caller's end, and waits until the broker has noticed.
    pub async fn cut(&self, uploading: Uploading, header: &UploadDocumentHeader) {
        uploading.call.abort();
        drop(uploading);
        let journal = File::open(self.journal(header)).unwrap();
        until("the end of the call", || flock(&journal, FlockOperation::NonBlockingLockExclusive).is_ok())
            .await;
    }

    pub async fn kill_broker(&mut self) {
        self.agent.kill();
        self.agent.run();
        self.clients = self.agent.clients().await;
        self.clinic.unlock(&mut self.clients).await;
        self.patient.unlock(&mut self.clients).await;
    }

    pub fn journal(&self, header: &UploadDocumentHeader) -> PathBuf {
        let name = format!("{}.{}", self.clinic.uid(), header.document_id);
        self.agent.state().join("uploads").join(name)
    }

    /// The document is there with this content, and nothing is left of how it came.
    pub async fn check(&mut self, header: &UploadDocumentHeader, content: &[u8]) {
        let got = download(&mut self.clients, &self.patient, &header.document_id).await.unwrap();
        assert!(got.content == content);
        until("the end of all uploads", || open_uploads(&self.platform) == 0).await;
        assert!(!self.journal(header).exists());
    }

    /// Whether the document's stream is the one that a journal was about.
    pub fn is_stream_of(&self, journal: &[u8]) -> bool {
        let sql = "SELECT bytes FROM document_header";
        let start: Vec<u8> = open(&self.platform).query_row(sql, [], |row| row.get(0)).unwrap();
        journal.windows(start.len()).any(|window| window == start)
    }
}
