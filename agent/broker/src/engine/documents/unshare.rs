//! Sealing a document anew: the same content under a new key. So readers are taken away.

use std::collections::BTreeSet;

use bytes::Bytes;
use life_pki::Uid;
use tokio::sync::mpsc;

use super::content::Fetched;
use super::upload::{Uploaded, Version};
use super::{Documents, description, unless_changed};
use crate::engine::flow::{Sink, Source};
use crate::engine::open_stream::Release;
use crate::error::{Error, Result};

/// Opened pieces on their way to be sealed anew.
const AHEAD: usize = 2;

/// Where opened pieces go.
struct Opening(mpsc::Sender<Option<Bytes>>);

impl Opening {
    async fn send(&mut self, piece: Option<Bytes>) -> Result<()> {
        self.0.send(piece).await.map_err(|_| Error::internal("nobody seals what was opened"))
    }
}

impl Sink for Opening {
    async fn put(&mut self, piece: Bytes) -> Result<()> {
        self.send(Some(piece)).await
    }
}

/// Where they come out. Only a message says that the end was reached: a sender that is gone gave up.
struct Opened(mpsc::Receiver<Option<Bytes>>);

impl Source for Opened {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        self.0.recv().await.ok_or_else(|| Error::internal("nobody opens what is sealed"))
    }
}

impl Documents<'_> {
    /// Takes readers away. Nothing but the version is told where none of them was a reader.
    ///
    /// # Errors
    /// As `Documents.Unshare`.
    pub async fn unshare(
        &self,
        id: &[u8; 16],
        version: Option<u64>,
        users: &BTreeSet<Uid>,
    ) -> Result<Uploaded> {
        unless_changed(|| self.unshare_once(id, version, users)).await
    }

    async fn unshare_once(
        &self,
        id: &[u8; 16],
        version: Option<u64>,
        users: &BTreeSet<Uid>,
    ) -> Result<Uploaded> {
        let fetched = self.fetch(id, version).await?;
        let current = &fetched.current;
        self.check_owner(&current.record)?;
        let readers = current.users()?;
        let remaining: BTreeSet<Uid> = readers.difference(users).copied().collect();
        if remaining.len() == readers.len() {
            return Ok(Uploaded {
                version: current.record.version,
                plaintext_size: current.description.size,
                ciphertext_size: current.record.size,
                readers: current.readers.clone(),
                existed: true,
                resumed: 0,
            });
        }
        self.anew(fetched, remaining).await
    }

    /// Makes a new version of the same content and description, under a new key, for these readers, who come from the
    /// revision that was fetched: VERSION_CONFLICT when there is another one by then.
    ///
    /// # Errors
    /// As `Documents.Unshare`.
    pub(super) async fn anew(&self, fetched: Fetched, readers: BTreeSet<Uid>) -> Result<Uploaded> {
        let record = &fetched.current.record;
        let number = record.version.saturating_add(1);
        let version = Version { id: record.id, number, readers, revision: Some(record.revision) };
        let reference = fetched.current.description.reference.clone();
        // Nothing is opened before all of it is verified; until then the ciphertext waits in the spool.
        let (sender, receiver) = mpsc::channel(AHEAD);
        let opening = async {
            let mut sink = Opening(sender);
            self.open_content(fetched, Release::WhenVerified(self.spool), &mut sink).await?;
            sink.send(None).await
        };
        let mut source = Opened(receiver);
        let sealing = async {
            let document = version.document();
            // It is opened and sealed anew by every call: there is nothing to go on with.
            let started = self.begin(&document, None).await?;
            let describe = |_, signature: &[u8; 32]| description::write(&reference, signature);
            self.fill(started, &version, None, &mut source, describe).await
        };
        let ((), uploaded) = tokio::try_join!(opening, sealing)?;
        Ok(uploaded)
    }
}
