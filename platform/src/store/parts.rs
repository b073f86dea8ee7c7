//! Files of uploads: append-only, and synced before anything is acknowledged.
//!
//! A file grows under its final name, so that a commit moves no byte: it only changes which row names the file.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use super::blobs::{Blobs, DepositError, SPACE_CHECK, full_or};
use super::shape::{ShapeError, stream_end, stream_start};
use super::uploads::Upload;
use crate::error::{Error, io};
use crate::layout::sync_parent;

/// The file of an upload, open for more.
pub struct Part {
    file: File,
    size: u64,
    acknowledged: u64,
    checked: u64,
    /// Whether the beginning was found to be a sealed stream's.
    passed: bool,
}

/// A sealed stream that arrived as a whole.
pub struct Whole {
    /// Its beginning, up to and with Tink's header.
    pub start: Vec<u8>,
    /// The length of the whole.
    pub size: u64,
}

impl Blobs {
    /// Opens the file of an upload, cut to what was acknowledged.
    ///
    /// # Errors
    /// [`DepositError::Full`], [`DepositError::Machinery`].
    pub fn open_part(&self, upload: &Upload) -> Result<Part, DepositError> {
        self.check_space(0)?;
        let path = self.path(&upload.blob);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| full_or("cannot open the file of an upload", error))?;
        if upload.received == 0 {
            sync_parent(&path)?;
        }
        cut(&file, upload.received)?;
        let passed = stream_start(&file, upload.received).map_err(DepositError::Shape)?.is_some();
        Ok(Part {
            file,
            size: upload.received,
            acknowledged: upload.received,
            checked: upload.received,
            passed,
        })
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// [`DepositError::Shape`] as soon as the whole cannot become a sealed stream any more; [`DepositError::Full`],
    /// [`DepositError::Machinery`].
    pub fn append(&self, part: &mut Part, bytes: &[u8]) -> Result<(), DepositError> {
        part.file
            .write_all_at(bytes, part.size)
            .map_err(|error| full_or("cannot write the file of an upload", error))?;
        part.size = part.size.saturating_add(bytes.len() as u64);
        if !part.passed {
            part.passed = stream_start(&part.file, part.size).map_err(DepositError::Shape)?.is_some();
        }
        if part.size - part.checked > SPACE_CHECK {
            self.check_space(0)?;
            part.checked = part.size;
        }
        Ok(())
    }

    /// Checks a complete upload.
    ///
    /// # Errors
    /// [`DepositError::Shape`] for what is no whole sealed stream; [`DepositError::Machinery`].
    pub fn check_part(&self, upload: &Upload) -> Result<Whole, DepositError> {
        if upload.received == 0 {
            return Err(DepositError::Shape(ShapeError::Empty));
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(&upload.blob))
            .map_err(io("cannot open the file of an upload"))?;
        cut(&file, upload.received)?;
        let check = || {
            let start = stream_start(&file, upload.received)?.ok_or(ShapeError::Truncated)?;
            stream_end(&file, start.header, upload.received)?;
            start.read(&file)
        };
        let start = check().map_err(DepositError::Shape)?;
        Ok(Whole { start, size: upload.received })
    }
}

impl Part {
    /// Bytes in the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that were not acknowledged yet.
    #[must_use]
    pub fn open_bytes(&self) -> u64 {
        self.size - self.acknowledged
    }

    /// Makes everything so far durable; it may be acknowledged then.
    ///
    /// # Errors
    /// [`DepositError::Full`], [`DepositError::Machinery`].
    pub fn sync(&self) -> Result<(), DepositError> {
        self.file.sync_data().map_err(|error| full_or("cannot sync the file of an upload", error))
    }

    /// Remembers that everything so far was acknowledged.
    pub fn acknowledge(&mut self) {
        self.acknowledged = self.size;
    }

    /// Takes back what was not acknowledged: it takes no room, and may not have been worth keeping.
    pub fn take_back(&mut self) {
        if self.size > self.acknowledged && self.file.set_len(self.acknowledged).is_ok() {
            self.size = self.acknowledged;
        }
    }
}

/// Cuts off what a killed process wrote and never acknowledged.
fn cut(file: &File, acknowledged: u64) -> Result<(), Error> {
    let length = file.metadata().map_err(io("cannot look at the file of an upload"))?.len();
    if length < acknowledged {
        return Err(Error::Stored("the file of an upload is shorter than what was acknowledged"));
    }
    if length > acknowledged {
        file.set_len(acknowledged).map_err(io("cannot cut the file of an upload"))?;
    }
    Ok(())
}
