//! Where ciphertext waits while it is verified: a file without a name, gone with the process however it ends.

use std::io::SeekFrom;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::flow::Source;
use crate::error::{Error, Fault, Result};

/// Bytes read at once.
const PIECE: usize = life_proto::CHUNK_LIMIT;

/// A spool file.
pub struct Spool(File);

fn fault(error: std::io::Error) -> Error {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Fault::SpoolFull.into()
        }
        _ => Fault::StateUnusable.because(format!("the spool file: {error}")),
    }
}

impl Spool {
    /// Makes a spool file in a folder.
    ///
    /// # Errors
    /// SPOOL_FULL; STATE_UNUSABLE when the folder cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        let mut file = File::from_std(tempfile::tempfile_in(folder).map_err(fault)?);
        file.set_max_buf_size(PIECE);
        Ok(Self(file))
    }

    /// Appends bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).await.map_err(fault)
    }

    /// Goes back to the start, to be read.
    pub async fn rewind(&mut self) -> Result<()> {
        self.0.flush().await.map_err(fault)?;
        self.0.seek(SeekFrom::Start(0)).await.map_err(fault)?;
        Ok(())
    }
}

impl Source for Spool {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut piece = BytesMut::with_capacity(PIECE);
        let count = self.0.read_buf(&mut piece).await.map_err(fault)?;
        Ok((count > 0).then(|| piece.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_written_is_read_and_nothing_is_left_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let written = vec![7; 3 * PIECE + 5];
        for piece in written.chunks(100_000) {
            spool.write(piece).await.unwrap();
        }
        spool.rewind().await.unwrap();
        let mut read = Vec::new();
        while let Some(piece) = spool.next().await.unwrap() {
            read.extend_from_slice(&piece);
        }
        assert!(read == written);
    }

    #[tokio::test]
    async fn a_full_disk_is_told() {
        let full = Path::new("/dev/full");
        let file = std::fs::OpenOptions::new().write(true).open(full).unwrap();
        let mut spool = Spool(File::from_std(file));
        let result = match spool.write(&[0; 4096]).await {
            Ok(()) => spool.rewind().await,
            failed => failed,
        };
        assert_eq!(result.unwrap_err().fault(), Fault::SpoolFull);
        let missing = Spool::create(Path::new("/nonexistent")).err().unwrap();
        assert_eq!(missing.fault(), Fault::StateUnusable);
    }
}
