//! Uploading a version: sealed as it comes, sent in blocks, and sent again from where the platform has it.
//!
//! Only blocks that the platform has not acknowledged are kept: one being filled, one waiting, one on its way.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use life_envelope::{DocumentId, Envelope, Purpose};
use life_pki::Uid;
use life_proto::v1;
use tokio::sync::mpsc;

use super::found::Found;
use super::{Documents, Wanted, conflict, description, named};
use crate::clock;
use crate::engine::flow::{Sink, Source};
use crate::engine::judge::receipt;
use crate::engine::recipients::{Document, fresh_id};
use crate::engine::seal::seal;
use crate::engine::seal_stream::seal_stream;
use crate::error::{Error, Fault, Result};
use crate::platform::{Base64, Client, DocumentCommit, Upload};

/// Bytes of a block: three of them at the most are kept.
const BLOCK: usize = 2 * 1024 * 1024;

/// What a caller wants to be stored.
pub struct Put {
    /// The document.
    pub id: [u8; 16],
    /// The version that this one replaces; 0 for a new document.
    pub replaces: u64,
    /// Who may read it besides its owner.
    pub readers: BTreeSet<Uid>,
    /// Whether those who read the replaced version may read this one too.
    pub keep_readers: bool,
    /// What is said of it.
    pub wanted: Wanted,
}

/// A version that comes to be.
pub struct Version {
    /// The document.
    pub id: [u8; 16],
    /// Its number.
    pub number: u64,
    /// Who may read it besides its owner.
    pub readers: BTreeSet<Uid>,
}

/// A version that is stored.
pub struct Uploaded {
    /// Its number.
    pub version: u64,
    /// Bytes of plaintext.
    pub plaintext_size: u64,
    /// Bytes of the sealed stream.
    pub ciphertext_size: u64,
    /// Who can open it.
    pub readers: Vec<v1::Recipient>,
    /// Whether it was there before.
    pub existed: bool,
}

/// An upload that is open; given up when it does not become a version.
pub struct Open {
    client: Client,
    upload: Upload,
    done: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let (false, Ok(runtime)) = (self.done, tokio::runtime::Handle::try_current()) {
            let (client, upload) = (self.client.clone(), self.upload.clone());
            // It counts against the user's room until it is given up or expires.
            runtime.spawn(async move { client.give_up(&upload).await });
        }
    }
}

fn unsigned() -> Error {
    Error::internal("a document's stream is always signed")
}

/// Gathers what is sealed in blocks.
struct Blocks {
    block: BytesMut,
    full: mpsc::Sender<Bytes>,
}

impl Blocks {
    async fn pass_on(&mut self, length: usize) -> Result<()> {
        let block = self.block.split_to(length).freeze();
        self.full.send(block).await.map_err(|_| Error::internal("nobody sends what was sealed"))
    }

    async fn finish(mut self) -> Result<()> {
        if self.block.is_empty() { Ok(()) } else { self.pass_on(self.block.len()).await }
    }
}

impl Sink for Blocks {
    async fn put(&mut self, piece: Bytes) -> Result<()> {
        if self.block.capacity() < self.block.len() + piece.len() {
            self.block.reserve(BLOCK + piece.len());
        }
        self.block.extend_from_slice(&piece);
        while self.block.len() >= BLOCK {
            self.pass_on(BLOCK).await?;
        }
        Ok(())
    }
}

impl Documents<'_> {
    /// Stores a document or a new version of one.
    ///
    /// # Errors
    /// As `Documents.Upload`.
    pub async fn put(&self, put: &Put, source: &mut impl Source) -> Result<Uploaded> {
        let number =
            put.replaces.checked_add(1).ok_or_else(|| Error::field("replaces_version", "is the last one"))?;
        let mut version = Version { id: put.id, number, readers: put.readers.clone() };
        if put.replaces > 0 {
            let record = self.record(&put.id).await?;
            if record.deleted {
                return Err(Fault::DocumentNotFound.because("it was deleted"));
            }
            self.check_owner(&record)?;
            if record.version != put.replaces {
                return self.find(put, conflict(&record)).await?.compare(source).await;
            }
            if put.keep_readers {
                version.readers.extend(self.open(record).await?.users()?);
            }
        }
        let upload = match self.begin(&version).await {
            Err(error) if error.fault() == Fault::VersionConflict => {
                return self.find(put, error).await?.compare(source).await;
            }
            begun => begun?,
        };
        let describe = |size, signature: &[u8; 32]| {
            description::write(&put.wanted.complete(&put.id, size, clock::now()?)?, signature)
        };
        self.fill(upload, &version, Some(put), source, describe).await
    }

    /// Begins a version.
    ///
    /// # Errors
    /// VERSION_CONFLICT, DOCUMENTS_FULL.
    pub(super) async fn begin(&self, version: &Version) -> Result<Open> {
        let client = self.identity.client.clone();
        let upload = client.begin_upload(&version.id, version.number, &fresh_id()?).await?;
        Ok(Open { client, upload, done: false })
    }

    /// Seals, signs and sends a version, and makes it the current one. `describe` writes what is said of it, given the
    /// content's size and signature. If another call of the same `put` is faster, its version is this one.
    ///
    /// # Errors
    /// As `Documents.Upload`. Nothing is seen of the version then.
    pub(super) async fn fill(
        &self,
        mut open: Open,
        version: &Version,
        put: Option<&Put>,
        source: &mut impl Source,
        describe: impl FnOnce(u64, &[u8; 32]) -> Result<Vec<u8>>,
    ) -> Result<Uploaded> {
        let document = Document {
            id: DocumentId(version.id),
            version: version.number,
            purpose: Some(Purpose::Document),
            recipients: version.readers.clone(),
        };
        let (full, blocks) = mpsc::channel(1);
        let sealing = async {
            let mut sink = Blocks { block: BytesMut::new(), full };
            let sealed = seal_stream(self.identity, &document, source, &mut sink).await?;
            sink.finish().await?;
            Ok(sealed)
        };
        let (sealed, found) = tokio::try_join!(sealing, self.send(&open.upload, put, blocks))?;
        if let Some(found) = found {
            return found.settle(sealed.manifest.ok_or_else(unsigned)?);
        }

        let digest = <[u8; 32]>::try_from(sealed.signature_digest.as_slice()).map_err(Error::internal)?;
        let json = describe(sealed.plaintext_size, &digest)?;
        let metadata = self.seal_description(&document, json.into()).await?;
        let commit = DocumentCommit {
            metadata: Base64(metadata.clone()),
            signature_digest: Base64(digest.to_vec()),
            readers: named(version.readers.iter().filter(|uid| **uid != self.identity.uid)),
        };
        let committing = || open.client.commit(&open.upload, &commit);
        let record = match (self.patience().persist(committing).await, put) {
            (Err(error), Some(put)) if error.fault() == Fault::VersionConflict => {
                return self.find(put, error).await?.settle(sealed.manifest.ok_or_else(unsigned)?);
            }
            (committed, _) => committed?,
        };
        open.done = true;
        if record.version != version.number
            || record.owner != self.identity.uid
            || record.metadata != metadata
        {
            return Err(Fault::DocumentMismatch.into());
        }
        Ok(Uploaded {
            version: version.number,
            plaintext_size: sealed.plaintext_size,
            ciphertext_size: sealed.ciphertext_size,
            readers: sealed.recipients,
            existed: false,
        })
    }

    /// Sends blocks until there are no more. When another call of the same `put` comes first, gives its version; then
    /// the rest is only sealed, to be compared.
    async fn send(
        &self,
        upload: &Upload,
        put: Option<&Put>,
        mut blocks: mpsc::Receiver<Bytes>,
    ) -> Result<Option<Found>> {
        match (self.send_all(upload, &mut blocks).await, put) {
            (Err(error), Some(put)) if error.fault() == Fault::VersionConflict => {
                let found = self.find(put, error).await?;
                while blocks.recv().await.is_some() {}
                Ok(Some(found))
            }
            (sent, _) => sent.map(|()| None),
        }
    }

    /// What the platform has is asked for whenever a block did not arrive.
    async fn send_all(&self, upload: &Upload, blocks: &mut mpsc::Receiver<Bytes>) -> Result<()> {
        let client = &self.identity.client;
        let (mut at, mut patience) = (0, self.patience());
        while let Some(block) = blocks.recv().await {
            let (start, end) = (at, at + block.len() as u64);
            while at < end {
                let rest = usize::try_from(at - start).map_err(Error::internal)?;
                let sent = client.append(upload, at, block.slice(rest..)).await;
                let there = match sent {
                    Ok(there) => Ok(there),
                    Err(error) => {
                        patience.wait(error).await?;
                        client.upload_offset(upload).await
                    }
                };
                at = match there {
                    Ok(there) if !(start..=end).contains(&there) => {
                        let why = "it has another part of an upload than it acknowledged";
                        return Err(Fault::PlatformUntrusted.because(why));
                    }
                    Ok(there) if there > at => {
                        patience.progress();
                        there
                    }
                    Ok(there) => {
                        let nothing = Fault::PlatformUnavailable.because("it takes nothing of an upload");
                        patience.wait(nothing).await?;
                        there
                    }
                    Err(error) => {
                        patience.wait(error).await?;
                        at
                    }
                };
            }
        }
        Ok(())
    }

    /// Seals a description, with the receipt over its signature in its envelope: so it outlives its signer's
    /// certificate.
    async fn seal_description(&self, document: &Document, json: Bytes) -> Result<Vec<u8>> {
        let sealed = seal(self.identity, document, json).await?;
        let digest = <[u8; 32]>::try_from(sealed.signature_digest.as_slice()).map_err(Error::internal)?;
        let receipt = self.patience().persist(|| receipt(self.identity, &digest)).await?;
        let mut envelope = Envelope::parse(&sealed.envelope)?;
        envelope.add_statement_receipt(&receipt)?;
        Ok(envelope.to_der())
    }
}
