//! The journal of an upload: what a later call needs to go on where this one was cut, whoever was killed.
//!
//! Sealing the same content once more under the same key gives the same bytes; other content under the same key and nonces
//! must never leave (NIST SP 800-38D §8). So the digest of each block is on the disk before the block is sent,
//! and a later call sends only what agrees with every one of them. The journal holds ciphertext and digests of ciphertext,
//! nothing that the platform does not see; its entries are chained by a MAC whose key the vault makes with the root credential.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use bytes::{Buf, Bytes};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::names;

/// What the vault's MAC is asked for.
const LABEL: &[u8] = b"LIFE upload journal v1, for entries chained by HMAC-SHA256";
/// As long as the platform keeps an upload open at which nothing happens.
const KEPT: Duration = Duration::from_secs(86_400);
/// A call whose caller is gone ends within moments; another one at work is not waited for.
const WAIT: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(20);
/// The longest journal that is read: of a document of more than a terabyte.
const LONGEST: u64 = 64 << 20;
/// Bytes of a MAC.
const TAG: usize = 32;

const BEGUN: u8 = 1;
const BLOCK: u8 = 2;
const TRAILER: u8 = 3;

/// A block that was perhaps sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
    /// Their number.
    pub length: u32,
}

/// The end of a stream, perhaps sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// SHA-256 of the value of its signature.
    pub signature: [u8; 32],
    /// All that follows the last segment.
    pub bytes: Bytes,
}

/// What an earlier call began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The version it was to become.
    pub version: u64,
    /// The upload's id.
    pub upload: [u8; 16],
    /// Everything before the first segment.
    pub start: Bytes,
    /// The blocks from the first on.
    pub blocks: VecDeque<Block>,
    /// The trailer, if it came to that.
    pub trailer: Option<Trailer>,
}

impl Begun {
    /// Bytes that were perhaps sent.
    pub fn sent(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.length)).sum()
    }
}

/// The journal of one document's upload. Nobody else writes it meanwhile.
pub struct Journal {
    file: Arc<File>,
    path: PathBuf,
    chain: Chain,
    state: State,
}

life_sys::secret_types!(Journal);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No upload of this call stands in it.
    Empty,
    /// It says all that was sent.
    Kept,
    /// It could not be written, and is empty.
    Broken,
}

/// The MACs of the entries, each over the one before too.
struct Chain {
    key: hmac::Key,
    last: [u8; TAG],
}

life_sys::secret_types!(Chain);

impl Chain {
    fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), last: [0; TAG] }
    }

    fn next(&mut self, entry: &[u8]) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&self.last);
        context.update(entry);
        self.last.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        self.last
    }

    /// An entry's bytes: kind, length, payload, MAC.
    fn entry(&mut self, kind: u8, payload: &[&[u8]]) -> Vec<u8> {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        let mut entry = vec![kind];
        entry.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        payload.iter().for_each(|part| entry.extend_from_slice(part));
        let tag = self.next(&entry);
        entry.extend_from_slice(&tag);
        entry
    }

    /// Reads the next entry: its kind and payload; nothing for what was not written by [`Chain::entry`].
    fn read(&mut self, bytes: &mut Bytes) -> Option<(u8, Bytes)> {
        let length = u32::from_be_bytes(*bytes.get(1..)?.first_chunk()?);
        let end = usize::try_from(length).ok()?.checked_add(5)?;
        let expected = self.next(bytes.get(..end)?);
        let tag = bytes.get(end..end.checked_add(TAG)?)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, tag).ok()?;
        let entry = bytes.split_to(end);
        bytes.advance(TAG);
        Some((*entry.first()?, entry.slice(5..)))
    }

    /// Reads a journal; nothing for one that is empty or damaged anywhere.
    fn parse(&mut self, mut bytes: Bytes) -> Option<Begun> {
        let (BEGUN, mut first) = self.read(&mut bytes)? else { return None };
        let version = first.try_get_u64().ok()?;
        let upload = *first.first_chunk()?;
        first.advance(upload.len());
        let mut begun = Begun { version, upload, start: first, blocks: VecDeque::new(), trailer: None };
        while !bytes.is_empty() {
            let (kind, mut payload) = self.read(&mut bytes)?;
            let digest = *payload.first_chunk()?;
            payload.advance(digest.len());
            match kind {
                BLOCK => begun.blocks.push_back(Block { digest, length: payload.try_get_u32().ok()? }),
                TRAILER if begun.trailer.is_none() => {
                    begun.trailer = Some(Trailer { signature: digest, bytes: payload });
                }
                _ => return None,
            }
        }
        Some(begun)
    }
}

impl Journal {
    /// Opens a document's journal, which another call may have at this moment: then there is none for this one. Gives
    /// what an earlier call began too.
    ///
    /// # Errors
    /// When the vault does not answer.
    pub async fn open(
        folder: &Path,
        identity: &Identity,
        id: &[u8; 16],
    ) -> Result<Option<(Self, Option<Begun>)>> {
        let swept = folder.to_owned();
        blocking(move || sweep(&swept)).await?.unwrap_or_else(|error| unusable(&error));
        let path = folder.join(format!("{}.{}", identity.uid, names::uuid(id)));
        let end = Instant::now() + WAIT;
        let file = loop {
            let taken = path.clone();
            match blocking(move || take(&taken, Missing::Make)).await? {
                Ok(Some(file)) => break file,
                Ok(None) if Instant::now() < end => tokio::time::sleep(RETRY).await,
                Ok(None) => return Ok(None),
                Err(error) => {
                    unusable(&error);
                    return Ok(None);
                }
            }
        };
        Self::read(identity, id, path, file).await.map(Some)
    }

    async fn read(
        identity: &Identity,
        id: &[u8; 16],
        path: PathBuf,
        file: File,
    ) -> Result<(Self, Option<Begun>)> {
        let data = [LABEL, identity.uid.as_bytes(), id].concat();
        let key = Zeroizing::new(identity.session.mac(data).await?);
        let file = Arc::new(file);
        let reading = file.clone();
        let bytes = blocking(move || {
            let mut bytes = Vec::new();
            (&*reading).take(LONGEST + 1).read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = bytes.await?.ok().filter(|bytes| bytes.len() as u64 <= LONGEST);
        let mut chain = Chain::new(&key);
        let begun = bytes.and_then(|bytes| chain.parse(bytes.into()));
        Ok((Self { file, path, chain, state: State::Empty }, begun))
    }

    /// The journals of a user that no call works with: of uploads that were cut.
    ///
    /// # Errors
    /// When the vault does not answer.
    pub async fn idle(folder: &Path, identity: &Identity) -> Result<Vec<(Self, [u8; 16], Option<Begun>)>> {
        let (folder, prefix) = (folder.to_owned(), format!("{}.", identity.uid));
        let found = blocking(move || {
            let mut found = Vec::new();
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let id = name.strip_prefix(&prefix).and_then(|id| names::parse_uuid("document_id", id).ok());
                if let (Some(id), Ok(Some(file))) = (id, take(&path, Missing::Leave)) {
                    found.push((path, id, file));
                }
            }
            Ok(found)
        });
        let mut idle = Vec::new();
        for (path, id, file) in found.await?.unwrap_or_else(|error| {
            unusable(&error);
            Vec::new()
        }) {
            let (journal, begun) = Self::read(identity, &id, path, file).await?;
            idle.push((journal, id, begun));
        }
        Ok(idle)
    }

    /// Goes on with what [`Journal::open`] gave.
    pub fn resume(&mut self) {
        self.state = State::Kept;
    }

    /// Notes an upload of which nothing was sent yet, in place of whatever stood there.
    ///
    /// # Errors
    /// As [`Journal::block`].
    pub async fn begin(&mut self, version: u64, upload: &[u8; 16], start: &[u8]) -> Result<()> {
        self.chain.last = [0; TAG];
        self.state = State::Kept;
        let entry = self.chain.entry(BEGUN, &[&version.to_be_bytes(), upload, start]);
        let (file, path) = (self.file.clone(), self.path.clone());
        let written = blocking(move || {
            file.set_len(0)?;
            (&*file).write_all(&entry)?;
            file.sync_all()?;
            File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
        });
        self.check(written.await?).await
    }

    /// Notes a block; it may be sent then.
    ///
    /// # Errors
    /// STATE_UNUSABLE when it can neither be written nor emptied: then nothing must be sent. Emptied, it is given up, and
    /// the upload goes on without.
    pub async fn block(&mut self, block: &Block) -> Result<()> {
        self.write(BLOCK, &[&block.digest, &block.length.to_be_bytes()]).await
    }

    /// Notes the trailer; it may be sent then.
    ///
    /// # Errors
    /// As [`Journal::block`].
    pub async fn trailer(&mut self, trailer: &Trailer) -> Result<()> {
        self.write(TRAILER, &[&trailer.signature, &trailer.bytes]).await
    }

    /// Whether a later call can go on with what stands in it.
    pub fn is_kept(&self) -> bool {
        self.state == State::Kept
    }

    /// Removes it: the upload is over. What cannot be removed now is when it is old.
    pub async fn remove(self) {
        let path = self.path.clone();
        let removed = blocking(move || std::fs::remove_file(path)).await;
        // Released only now: another call would else take a file that has no name any more.
        drop(self);
        if let Ok(Err(error)) = removed {
            unusable(&error);
        }
    }

    async fn write(&mut self, kind: u8, payload: &[&[u8]]) -> Result<()> {
        if self.state != State::Kept {
            return Ok(());
        }
        let entry = self.chain.entry(kind, payload);
        let file = self.file.clone();
        let written = blocking(move || {
            (&*file).write_all(&entry)?;
            file.sync_data()
        });
        self.check(written.await?).await
    }

    async fn check(&mut self, written: io::Result<()>) -> Result<()> {
        let Err(error) = written else { return Ok(()) };
        unusable(&error);
        self.state = State::Broken;
        let file = self.file.clone();
        let emptied = blocking(move || file.set_len(0).and_then(|()| file.sync_all()));
        emptied.await?.map_err(|error| {
            Fault::StateUnusable.because(format!("the journal of an upload cannot be written: {error}"))
        })
    }
}

/// What to do when there is no journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Leave,
    Make,
}

/// Opens and locks a journal; nothing when somebody else has it.
fn take(path: &Path, missing: Missing) -> io::Result<Option<File>> {
    let make = missing == Missing::Make;
    let file = OpenOptions::new().read(true).append(true).create(make).mode(0o600).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // Whoever had it may have removed it meanwhile.
    let (open, named) = (file.metadata()?, std::fs::metadata(path));
    let same = named.is_ok_and(|named| (named.dev(), named.ino()) == (open.dev(), open.ino()));
    Ok(same.then_some(file))
}

/// Removes what is so old that the platform has given the upload up.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        // Another call may have removed it since it was listed.
        let Ok(modified) = path.metadata().and_then(|it| it.modified()) else { continue };
        let old = SystemTime::now().duration_since(modified).is_ok_and(|age| age > KEPT);
        if old && let Ok(Some(_held)) = take(&path, Missing::Leave) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn unusable(error: &io::Error) {
    tracing::warn!(%error, "the journal of an upload is not usable: it cannot go on after it was cut");
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

#[cfg(test)]
mod tests;
