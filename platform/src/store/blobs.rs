//! Content in files: written beside, checked, synced, renamed, and only then named in the database.
//!
//! A kill at any moment leaves either a complete message that the database names, or a file that nobody names. The next
//! start removes what was still arriving and what the database says is to be removed; any other file that the database
//! does not name is moved to `quarantine/`, for it may be the database that is wrong.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock, statvfs};

use super::shape::{Screen, ShapeError};
use super::usage::Scope;
use super::{Database, messages};
use crate::encoding::random;
use crate::error::{Error, io};
use crate::layout::{Layout, sync_parent};

/// How often free space is looked at while content arrives.
pub(super) const SPACE_CHECK: u64 = 32 << 20;

/// Why a deposit failed.
#[derive(Debug, thiserror::Error)]
pub enum DepositError {
    /// The owner's documents have no room.
    #[error("the quota of documents is used up")]
    DocumentsFull,
    /// The disk has no room.
    #[error("no room: {0}")]
    Full(&'static str),
    /// The inbox has no room.
    #[error("the inbox is full")]
    InboxFull,
    /// The machinery failed.
    #[error(transparent)]
    Machinery(#[from] Error),
    /// Not an envelope nor a sealed stream.
    #[error(transparent)]
    Shape(ShapeError),
    /// The depositor has used up their share.
    #[error("the depositor's share is used up")]
    ShareFull,
    /// Longer than a message or a document may be.
    #[error("longer than content may be")]
    TooLarge,
}

/// The folders of content, held by one process at a time.
pub struct Blobs {
    blobs: PathBuf,
    incoming: PathBuf,
    quarantine: PathBuf,
    free_bytes: u64,
    arriving: Arc<Mutex<HashMap<Scope, u64>>>,
    _lock: File,
}

/// Content that is complete and durable under its final name.
#[derive(Clone, Debug)]
pub struct Complete {
    /// Its name below `blobs/`.
    pub blob: String,
    /// Its size.
    pub size: u64,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
}

impl Blobs {
    /// Takes hold of the folders and clears up what an earlier process left unfinished.
    ///
    /// # Errors
    /// [`Error::Config`] when another process holds them; [`Error::Io`]; [`Error::Database`].
    pub fn open(layout: &Layout, database: &Database, free_bytes: u64) -> Result<Self, Error> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(layout.data().join("lock"))
            .map_err(io("cannot open the lock of the data folder"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Error::Config("another process serves this folder".to_owned()))?;
        let blobs = Self {
            blobs: layout.blobs(),
            incoming: layout.incoming(),
            quarantine: layout.quarantine(),
            free_bytes,
            arriving: Arc::default(),
            _lock: lock,
        };
        blobs.sweep(database)?;
        Ok(blobs)
    }

    fn sweep(&self, database: &Database) -> Result<(), Error> {
        self.remove_doomed(database)?;
        let (mut removed, mut unknown) = (0u32, 0u32);
        for entry in fs::read_dir(&self.incoming).map_err(io("cannot list what was arriving"))?.flatten() {
            removed += u32::from(fs::remove_file(entry.path()).is_ok());
        }
        for entry in fs::read_dir(&self.blobs).map_err(io("cannot list the content"))?.flatten() {
            let name = entry.file_name();
            let known = match name.to_str() {
                Some(name) => database.read(|connection| messages::has_blob(connection, name))?,
                None => false,
            };
            if !known {
                fs::create_dir_all(&self.quarantine).map_err(io("cannot make the quarantine"))?;
                fs::rename(entry.path(), self.quarantine.join(&name))
                    .map_err(io("cannot move content to the quarantine"))?;
                unknown += 1;
            }
        }
        if unknown > 0 {
            tracing::warn!(unknown, "moved content that the database does not name to the quarantine");
        }
        if removed > 0 {
            tracing::info!(removed, "removed unfinished content of an earlier run");
        }
        Ok(())
    }

    /// Removes the files of what was deleted, replaced or given up that are still there.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn remove_doomed(&self, database: &Database) -> Result<(), Error> {
        let mut gone = database.read(messages::doomed)?;
        gone.retain(|blob| match fs::remove_file(self.blobs.join(blob)) {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => {
                tracing::warn!(%error, "content could not be removed and will be tried again");
                false
            }
        });
        if gone.is_empty() {
            return Ok(());
        }
        database.write(|tx| gone.iter().try_for_each(|blob| messages::gone(tx, blob)))
    }

    /// Begins to take content of at most `limit` bytes, with so much room in each scope.
    ///
    /// # Errors
    /// [`DepositError::Full`], [`DepositError::Machinery`].
    pub fn begin(&self, limit: u64, rooms: Vec<(Scope, u64)>) -> Result<Incoming, DepositError> {
        let name = hex::encode(random::<16>()?);
        let path = self.incoming.join(&name);
        self.check_space(0)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| full_or("cannot create a file for content", error))?;
        Ok(Incoming {
            name,
            path: Some(path),
            file,
            screen: Screen::default(),
            digest: aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256),
            size: 0,
            checked: 0,
            limit,
            share: Share { rooms, bytes: 0, arriving: Arc::clone(&self.arriving) },
        })
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// [`DepositError`]; what was written is removed when `incoming` is dropped.
    pub fn push(&self, incoming: &mut Incoming, bytes: &[u8]) -> Result<(), DepositError> {
        incoming.size = incoming.size.saturating_add(bytes.len() as u64);
        if incoming.size > incoming.limit {
            return Err(DepositError::TooLarge);
        }
        incoming.share.take(bytes.len() as u64)?;
        incoming.screen.push(bytes).map_err(DepositError::Shape)?;
        if incoming.size - incoming.checked > SPACE_CHECK {
            self.check_space(bytes.len() as u64)?;
            incoming.checked = incoming.size;
        }
        incoming.digest.update(bytes);
        incoming.file.write_all(bytes).map_err(|error| full_or("cannot write content", error))
    }

    /// Checks the whole and makes it durable under its final name.
    ///
    /// # Errors
    /// [`DepositError`].
    pub fn finish(&self, mut incoming: Incoming) -> Result<Complete, DepositError> {
        std::mem::take(&mut incoming.screen).finish(&incoming.file).map_err(DepositError::Shape)?;
        incoming.file.sync_all().map_err(|error| full_or("cannot sync content", error))?;
        let target = self.blobs.join(&incoming.name);
        if let Some(path) = incoming.path.take() {
            fs::rename(&path, &target).map_err(|error| full_or("cannot name content", error))?;
        }
        sync_parent(&target)?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(incoming.digest.clone().finish().as_ref());
        Ok(Complete { blob: incoming.name.clone(), size: incoming.size, sha256 })
    }

    /// Where content lies.
    pub(super) fn path(&self, blob: &str) -> PathBuf {
        self.blobs.join(blob)
    }

    /// Opens content for reading.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open_blob(&self, blob: &str) -> Result<File, Error> {
        File::open(self.blobs.join(blob)).map_err(io("cannot open content"))
    }

    /// Removes content that the database does not name (any more).
    pub fn remove(&self, blob: &str) {
        if let Err(error) = fs::remove_file(self.path(blob))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "content could not be removed");
        }
    }

    pub(super) fn check_space(&self, more: u64) -> Result<(), DepositError> {
        let space = statvfs(&self.incoming)
            .map_err(|error| Error::Io { what: "cannot ask for free space", source: error.into() })?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free.saturating_sub(more) < self.free_bytes {
            return Err(DepositError::Full("the disk is nearly full"));
        }
        Ok(())
    }
}

/// Content that is arriving; removed when dropped unfinished.
pub struct Incoming {
    name: String,
    path: Option<PathBuf>,
    file: File,
    screen: Screen,
    digest: aws_lc_rs::digest::Context,
    size: u64,
    checked: u64,
    limit: u64,
    share: Share,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = fs::remove_file(path);
        }
    }
}

/// What is arriving counts against every quota before it is stored.
struct Share {
    rooms: Vec<(Scope, u64)>,
    bytes: u64,
    arriving: Arc<Mutex<HashMap<Scope, u64>>>,
}

impl Share {
    /// Adds bytes, unless more would be arriving in some scope than it has room for.
    fn take(&mut self, bytes: u64) -> Result<(), DepositError> {
        self.bytes = self.bytes.saturating_add(bytes);
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut full = None;
        for (scope, room) in &self.rooms {
            let sum = arriving.entry(*scope).or_default();
            *sum = sum.saturating_add(bytes);
            if *sum > *room {
                full.get_or_insert(*scope);
            }
        }
        full.map_or(Ok(()), |scope| Err(full_in(scope)))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut arriving = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        for (scope, _) in &self.rooms {
            if let Some(sum) = arriving.get_mut(scope) {
                *sum = sum.saturating_sub(self.bytes);
                if *sum == 0 {
                    arriving.remove(scope);
                }
            }
        }
    }
}

/// What is said when a scope has no room.
#[must_use]
pub fn full_in(scope: Scope) -> DepositError {
    match scope {
        Scope::Documents(_) => DepositError::DocumentsFull,
        Scope::Inbox(_) => DepositError::InboxFull,
        Scope::Depositor(_) | Scope::Share { .. } => DepositError::ShareFull,
    }
}

pub(super) fn full_or(what: &'static str, error: std::io::Error) -> DepositError {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            DepositError::Full("the disk is full")
        }
        _ => DepositError::Machinery(Error::Io { what, source: error }),
    }
}
