//! The pin store of one identity: a DER file whose MAC only the vault can make, under a key out of the root key seal.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use der::asn1::OctetString;
use der::{Decode, Encode, Sequence};
use life_pki::Uid;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::pin_file::{encode, parse};
use super::pins::Pins;
use crate::error::{Error, Fault, Result};
use crate::vault::Session;

/// A file beyond this size is not ours, and none is written.
pub const MAX_SIZE: usize = 256 * 1024 * 1024;

/// How long another agent may keep the pin file locked.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(5);

#[derive(Sequence)]
struct WireFile {
    body: OctetString,
    tag: OctetString,
}

/// Where an identity's pins are.
pub struct Store {
    file: PathBuf,
    uid: Uid,
}

fn octets(bytes: &[u8]) -> der::Result<OctetString> {
    OctetString::new(bytes)
}

/// The pins cannot be used.
pub fn unusable(why: &'static str) -> Error {
    Fault::StateUnusable.because(why)
}

/// The vault's MAC is over a digest, so that the file may outgrow a frame.
async fn mac(session: &Session, body: &[u8]) -> Result<[u8; 32]> {
    session.mac(digest(&SHA256, body).as_ref().to_vec()).await
}

impl Store {
    /// The store of a user in the agent's state folder.
    pub fn new(state: &Path, uid: Uid) -> Self {
        Self { file: state.join("pins").join(format!("{uid}.der")), uid }
    }

    /// Keeps other agents from writing meanwhile. They hold it as long as a write takes; one that holds it for long
    /// hangs, and must not take this one with it.
    async fn lock(&self, limit: Duration) -> Result<std::fs::File> {
        let path = self.file.with_extension("lock");
        let fault =
            |error: std::io::Error| Fault::StateUnusable.because(format!("the pin file's lock: {error}"));
        let file =
            std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(fault)?;
        let end = tokio::time::Instant::now() + limit;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) if tokio::time::Instant::now() < end => {
                    tokio::time::sleep(LOCK_RETRY).await;
                }
                Err(Errno::WOULDBLOCK) => return Err(unusable("another agent keeps the pin file locked")),
                Err(error) => return Err(fault(error.into())),
            }
        }
    }

    /// Reads the pins and checks their MAC; none when there is no file yet.
    ///
    /// # Errors
    /// STATE_UNUSABLE for a file that cannot be read, was changed, or belongs to another account.
    pub async fn load(&self, session: &Session) -> Result<Pins> {
        let bytes = match std::fs::metadata(&self.file).map(|found| found.len()) {
            Ok(length) if length > MAX_SIZE as u64 => return Err(unusable("the pin file is far too long")),
            _ => std::fs::read(&self.file),
        };
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Pins::default()),
            Err(error) => return Err(Fault::StateUnusable.because(format!("the pin file: {error}"))),
        };
        let file = WireFile::from_der(&bytes).map_err(|_| unusable("the pin file is damaged"))?;
        let expected = mac(session, file.body.as_bytes()).await?;
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(&expected, file.tag.as_bytes());
        same.map_err(|_| unusable("the pin file was changed or belongs to an earlier account of the user"))?;
        parse(self.uid, file.body.as_bytes()).ok_or_else(|| unusable("the pin file is damaged"))
    }

    /// Writes the pins, whole or not at all. Where another agent of the same state folder has pinned more meanwhile,
    /// its pins are taken over.
    ///
    /// # Errors
    /// STATE_UNUSABLE when the folder cannot be written, or the pins have no room in it.
    pub async fn save(&self, session: &Session, pins: &mut Pins) -> Result<()> {
        let _one = self.lock(LOCK_LIMIT).await?;
        let stored = self.load(session).await?;
        pins.merge(stored);
        let body = encode(self.uid, pins)?;
        let tag = mac(session, &body).await?;
        let file =
            || -> der::Result<Vec<u8>> { WireFile { body: octets(&body)?, tag: octets(&tag)? }.to_der() };
        let bytes = file().map_err(Error::internal)?;
        let path = self.file.clone();
        let written =
            tokio::task::spawn_blocking(move || life_sys::files::write_atomically(&path, &bytes, 0o600));
        written
            .await
            .map_err(Error::internal)?
            .map_err(|error| Fault::StateUnusable.because(format!("the pin file cannot be written: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_that_another_agent_keeps_is_waited_for_and_given_up() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pins")).unwrap();
        let store = Store::new(folder.path(), Uid::from_random([1; 16]));
        let held = store.lock(Duration::from_millis(50)).await.unwrap();
        assert_eq!(store.lock(Duration::from_millis(50)).await.unwrap_err().fault(), Fault::StateUnusable);
        drop(held);
        store.lock(Duration::from_millis(50)).await.unwrap();
    }
}
