//! Uploads whose content is given chunk by chunk, and what the platform has of them.

use std::time::Duration;

use bytes::Bytes;
use life_proto::v1;
use life_proto::v1::upload_document_request::Message as Ask;
use rusqlite::Connection;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::Platform;
use crate::agent::Clients;

/// Bytes of a chunk.
pub const MIB: usize = 1 << 20;

/// The platform's database.
#[must_use]
pub fn open(platform: &Platform) -> Connection {
    let database = Connection::open(platform.database()).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    database
}

/// A sum over a table: `1), 0) FROM document`.
#[must_use]
pub fn count(database: &Connection, of: &str) -> i64 {
    database.query_row(&format!("SELECT COALESCE(SUM({of}"), [], |row| row.get(0)).unwrap()
}

/// Bytes of open uploads that the platform has acknowledged.
#[must_use]
pub fn received(platform: &Platform) -> i64 {
    count(&open(platform), "received), 0) FROM document_upload")
}

/// Open uploads.
#[must_use]
pub fn open_uploads(platform: &Platform) -> i64 {
    count(&open(platform), "1), 0) FROM document_upload")
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come about");
}

/// A chunk that differs from the others.
#[must_use]
pub fn chunk(n: usize) -> Bytes {
    Bytes::from(vec![(n % 251) as u8; MIB])
}

/// The first so many chunks.
#[must_use]
pub fn content(chunks: usize) -> Vec<u8> {
    (0..chunks).flat_map(|n| chunk(n).to_vec()).collect()
}

/// An upload whose chunks are given one by one.
pub struct Uploading {
    chunks: mpsc::Sender<v1::UploadDocumentRequest>,
    /// The call.
    pub call: JoinHandle<Result<v1::UploadDocumentResponse, Status>>,
    given: usize,
}

impl Uploading {
    /// Begins a call.
    pub async fn begin(clients: &Clients, header: v1::UploadDocumentHeader) -> Self {
        let (chunks, receiver) = mpsc::channel(1);
        let mut client = clients.documents.clone();
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let call = tokio::spawn(async move { Ok(client.upload(stream).await?.into_inner()) });
        chunks.send(v1::UploadDocumentRequest { message: Some(Ask::Header(header)) }).await.unwrap();
        Self { chunks, call, given: 0 }
    }

    /// Gives the next chunks.
    pub async fn give(&mut self, count: usize) {
        for _ in 0..count {
            self.give_other(chunk(self.given)).await;
        }
    }

    /// Gives another chunk.
    pub async fn give_other(&mut self, chunk: Bytes) {
        // Nobody listens any more to a call that has failed.
        let _ = self.chunks.send(v1::UploadDocumentRequest { message: Some(Ask::Chunk(chunk)) }).await;
        self.given += 1;
    }

    /// Says that this was all.
    ///
    /// # Errors
    /// The status of the call.
    pub async fn end(self) -> Result<v1::UploadDocumentResponse, Status> {
        drop(self.chunks);
        self.call.await.unwrap()
    }
}
