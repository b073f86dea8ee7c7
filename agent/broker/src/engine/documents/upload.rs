//! Uploading a version: sealed as it comes, sent in blocks, and sent again from where the platform has it.
//!
//! Only blocks that the platform has not acknowledged are kept: one being filled, one waiting, one on its way.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use life_envelope::{DocumentId, Envelope, Purpose};
use life_pki::Uid;
use life_proto::v1;
use tokio::sync::mpsc;

use super::blocks::{Blocks, Proof, differs, is_another_content};
use super::found::Found;
use super::journal::{Begun, Journal, Trailer};
use super::resume::{Resumed, Rewindable, is_cut};
use super::{Documents, Wanted, conflict, description, named};
use crate::clock;
use crate::engine::flow::Source;
use crate::engine::judge::receipt;
use crate::engine::recipients::{Document, fresh_id};
use crate::engine::seal::seal;
use crate::engine::seal_stream::{SealedStream, Sealing, put_all};
use crate::error::{Error, Fault, Result};
use crate::platform::{Base64, Client, DocumentCommit, Upload};

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
    /// The revision of the version before that readers were taken from: nobody who is added meanwhile may get lost.
    pub revision: Option<u64>,
}

impl Version {
    /// What is sealed.
    pub fn document(&self) -> Document {
        Document {
            id: DocumentId(self.id),
            version: self.number,
            purpose: Some(Purpose::Document),
            recipients: self.readers.clone(),
        }
    }
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
    /// Bytes of the sealed stream that an earlier call, which was cut, had sent.
    pub resumed: u64,
}

/// An upload that is open; given up when it becomes no version and no later call can go on with it.
pub struct Open {
    client: Client,
    upload: Upload,
    done: bool,
    kept: Arc<AtomicBool>,
}

impl Drop for Open {
    fn drop(&mut self) {
        let over = self.done || self.kept.load(Ordering::Relaxed);
        if let (false, Ok(runtime)) = (over, tokio::runtime::Handle::try_current()) {
            let (client, upload) = (self.client.clone(), self.upload.clone());
            // It counts against the user's room until it is given up or expires.
            runtime.spawn(async move { client.give_up(&upload).await });
        }
    }
}

/// An upload that is about to be sent, from its beginning or from where an earlier call had come to.
pub struct Started<'a> {
    open: Open,
    sealing: Sealing<'a>,
    proof: Proof<'a>,
    /// What the platform has.
    there: u64,
    /// The end that was perhaps sent before.
    trailer: Option<Trailer>,
}

life_sys::secret_types!(Started<'static>);

/// SHA-256 of the value of a stream's signature.
fn digest_of(sealed: &SealedStream) -> Result<[u8; 32]> {
    sealed.signature_digest.as_slice().try_into().map_err(Error::internal)
}

fn unsigned() -> Error {
    Error::internal("a document's stream is always signed")
}

impl Documents<'_> {
    /// Stores a document or a new version of one.
    ///
    /// # Errors
    /// As `Documents.Upload`.
    pub async fn put(&self, put: &Put, source: &mut impl Source) -> Result<Uploaded> {
        let number =
            put.replaces.checked_add(1).ok_or_else(|| Error::field("replaces_version", "is the last one"))?;
        let mut version = Version { id: put.id, number, readers: put.readers.clone(), revision: None };
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
                version.revision = Some(record.revision);
                version.readers.extend(self.open(record).await?.users()?);
            }
        }
        let (mut journal, begun) = match Journal::open(self.uploads, self.identity, &put.id).await? {
            Some((journal, begun)) => (Some(journal), begun),
            None => (None, None),
        };
        let stored = self.store(put, &version, journal.as_mut(), begun, source).await;
        match journal {
            Some(journal) if !matches!(&stored, Err(error) if is_cut(error)) => journal.remove().await,
            _ => {}
        }
        stored
    }

    /// Stores a version: goes on with what was begun, unless it turns out to be of another content.
    async fn store(
        &self,
        put: &Put,
        version: &Version,
        mut journal: Option<&mut Journal>,
        begun: Option<Begun>,
        source: &mut impl Source,
    ) -> Result<Uploaded> {
        let document = version.document();
        let mut source = Rewindable::new(source);
        let describe = |size, signature: &[u8; 32]| {
            description::write(&put.wanted.complete(&put.id, size, clock::now()?)?, signature)
        };
        if let (Some(begun), Some(journal)) = (begun, &mut journal)
            && let Some(resumed) = self.resume(&document, begun).await?
        {
            source.keep();
            let started = self.go_on(resumed, journal);
            match self.fill(started, version, Some(put), &mut source, describe).await {
                Err(error) if is_another_content(&error) && source.rewind() => {}
                stored => return stored,
            }
        }
        let started = match self.begin(&document, journal).await {
            Err(error) if error.fault() == Fault::VersionConflict => {
                return self.find(put, error).await?.compare(&mut source).await;
            }
            started => started?,
        };
        self.fill(started, version, Some(put), &mut source, describe).await
    }

    /// Begins a version. What it sends goes into the journal, if it has one.
    ///
    /// # Errors
    /// VERSION_CONFLICT, DOCUMENTS_FULL.
    pub(super) async fn begin<'a>(
        &'a self,
        document: &'a Document,
        journal: Option<&'a mut Journal>,
    ) -> Result<Started<'a>> {
        let client = self.identity.client.clone();
        let id = fresh_id()?;
        let begin = || client.begin_upload(&document.id.0, document.version, &id);
        let upload = match begin().await {
            Err(error) if error.fault() == Fault::DocumentsFull && self.abandon_idle().await? => {
                begin().await
            }
            begun => begun,
        }?;
        let kept = Arc::new(AtomicBool::new(false));
        let open = Open { client, upload, done: false, kept: kept.clone() };
        let sealing = Sealing::begin(self.identity, document).await?;
        let begin = Some((document.version, id, sealing.start()));
        let proof = Proof { journal, begin, before: VecDeque::new(), kept };
        Ok(Started { open, sealing, proof, there: 0, trailer: None })
    }

    /// Goes on with what an earlier call began.
    fn go_on<'a>(&self, resumed: Resumed<'a>, journal: &'a mut Journal) -> Started<'a> {
        let Resumed { upload, there, sealing, begun } = resumed;
        journal.resume();
        let kept = Arc::new(AtomicBool::new(true));
        let open = Open { client: self.identity.client.clone(), upload, done: false, kept: kept.clone() };
        let proof = Proof { journal: Some(journal), begin: None, before: begun.blocks, kept };
        Started { open, sealing, proof, there, trailer: begun.trailer }
    }

    /// Seals, signs and sends a version, and makes it the current one. `describe` writes what is said of it, given the
    /// content's size and signature. If another call of the same `put` is faster, its version is this one.
    ///
    /// # Errors
    /// As `Documents.Upload`. Nothing is seen of the version then.
    pub(super) async fn fill(
        &self,
        started: Started<'_>,
        version: &Version,
        put: Option<&Put>,
        source: &mut impl Source,
        describe: impl FnOnce(u64, &[u8; 32]) -> Result<Vec<u8>>,
    ) -> Result<Uploaded> {
        let Started { mut open, sealing, proof, there, trailer } = started;
        let (full, blocks) = mpsc::channel(1);
        let start = sealing.start();
        let sealing = async {
            let mut sink = Blocks::new(full, proof);
            let content = sealing.content(source, &mut sink).await?;
            let (sealed, bytes) = match trailer {
                // No trailer can be what is left to compare: this is another content, and gets none under this key.
                None if !sink.is_compared() => return Err(differs()),
                None => {
                    let (sealed, bytes) = content.end().await?;
                    let signature = digest_of(&sealed)?;
                    sink.vouch_trailer(&Trailer { signature, bytes: bytes.clone() }).await?;
                    (sealed, bytes)
                }
                Some(trailer) => {
                    let (signed, _) = self.ends_of(&start, &trailer).signed(self.identity).await?;
                    if content.manifest() != Some(&signed) {
                        return Err(differs());
                    }
                    (content.with_trailer(trailer.signature, &trailer.bytes), trailer.bytes)
                }
            };
            let signature = digest_of(&sealed)?;
            put_all(&mut sink, bytes).await?;
            sink.finish().await?;
            Ok((sealed, signature))
        };
        let filled = async {
            let (sealed, found) = tokio::try_join!(sealing, self.send(&open.upload, put, there, blocks))?;
            match found {
                Some(found) => found.settle(sealed.0.manifest.ok_or_else(unsigned)?),
                None => self.commit(&mut open, version, put, sealed, there, describe).await,
            }
        };
        let filled = filled.await;
        if !matches!(&filled, Err(error) if is_cut(error)) {
            open.kept.store(false, Ordering::Relaxed);
        }
        filled
    }

    /// Seals what is said of a version that was sent, and makes it the current one.
    async fn commit(
        &self,
        open: &mut Open,
        version: &Version,
        put: Option<&Put>,
        (sealed, signature): (SealedStream, [u8; 32]),
        resumed: u64,
        describe: impl FnOnce(u64, &[u8; 32]) -> Result<Vec<u8>>,
    ) -> Result<Uploaded> {
        let json = describe(sealed.plaintext_size, &signature)?;
        let metadata = self.seal_description(&version.document(), json.into()).await?;
        let commit = DocumentCommit {
            metadata: Base64(metadata.clone()),
            signature_digest: Base64(signature.to_vec()),
            readers: named(version.readers.iter().filter(|uid| **uid != self.identity.uid)),
            replaces_revision: version.revision,
        };
        let committing = || open.client.commit(&open.upload, &commit);
        let record = match (self.patience().persist(committing).await, put) {
            (Err(error), Some(put)) if error.fault() == Fault::VersionConflict => {
                return self.find(put, error).await?.settle(sealed.manifest.ok_or_else(unsigned)?);
            }
            (committed, _) => committed?,
        };
        open.done = true;
        let ours = record.version == version.number && record.owner == self.identity.uid;
        match put {
            _ if ours && record.metadata == metadata => {}
            // The platform's first answer got lost, and somebody shared the version before it was asked again.
            Some(put) if ours => {
                let found = self.find(put, Fault::DocumentMismatch.into()).await?;
                let stored = found.settle(sealed.manifest.ok_or_else(unsigned)?)?;
                return Ok(Uploaded { existed: false, resumed, ..stored });
            }
            _ => return Err(Fault::DocumentMismatch.into()),
        }
        Ok(Uploaded {
            version: version.number,
            plaintext_size: sealed.plaintext_size,
            ciphertext_size: sealed.ciphertext_size,
            readers: sealed.recipients,
            existed: false,
            resumed,
        })
    }

    /// Sends blocks until there are no more. When another call of the same `put` comes first, gives its version; then
    /// the rest is only sealed, to be compared.
    async fn send(
        &self,
        upload: &Upload,
        put: Option<&Put>,
        there: u64,
        mut blocks: mpsc::Receiver<Bytes>,
    ) -> Result<Option<Found>> {
        match (self.send_all(upload, there, &mut blocks).await, put) {
            (Err(error), Some(put)) if error.fault() == Fault::VersionConflict => {
                let found = self.find(put, error).await?;
                while blocks.recv().await.is_some() {}
                Ok(Some(found))
            }
            (sent, _) => sent.map(|()| None),
        }
    }

    /// Sends what the platform does not have yet; what it has is asked for whenever a block did not arrive.
    async fn send_all(&self, upload: &Upload, there: u64, blocks: &mut mpsc::Receiver<Bytes>) -> Result<()> {
        let client = &self.identity.client;
        let (mut at, mut end, mut patience) = (there, 0, self.patience());
        while let Some(block) = blocks.recv().await {
            let start = end;
            end += block.len() as u64;
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
