//! The outer form of a sealed stream, FORMATS §5: enough to take header and trailer out and put another header in.
//!
//! `magic | u8 version | u32be envelope length | envelope | 40 bytes | segments | sealed trailer | u32be its length`
//!
//! Header here is all before the first segment: the 40 bytes are needed to open the trailer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;

use super::target::Target;
use crate::error::Error;

/// What every sealed stream begins with.
pub const MAGIC: &[u8; 8] = b"LIFESTRM";

/// Magic, version and the length of the envelope.
const FIXED: u64 = 13;
/// The longest envelope we read: far beyond 256 recipients.
const ENVELOPE_LIMIT: u64 = 4 * 1024 * 1024;
/// What stands between envelope and segments.
const STREAM_HEADER: u64 = 40;
/// The shortest segment or trailer: an authentication tag.
const TAG: u64 = 16;
/// The longest trailer.
const TRAILER_LIMIT: u64 = 256 * 1024 + TAG;

/// A sealed stream in a file that can be read at any place.
pub struct SealedFile {
    file: File,
    name: String,
    header: u64,
    size: u64,
}

impl SealedFile {
    /// Reads the outer form of a file.
    ///
    /// Fails with `FORMAT_INVALID` when it is no sealed stream, `STREAM_TRUNCATED` when it is too short for one.
    pub fn new(mut file: File, name: String) -> Result<Self, Error> {
        let read = |source| Error::Read { name: name.clone(), source };
        let size = file.seek(SeekFrom::End(0)).map_err(read)?;
        file.rewind().map_err(read)?;
        let mut fixed = [0; FIXED as usize];
        file.read_exact(&mut fixed).map_err(|error| truncated(&name, error))?;
        let (magic, rest) = fixed.split_at(MAGIC.len());
        let length = match rest {
            [_version, length @ ..] if magic == MAGIC => be32(length),
            _ => return Err(Error::data("FORMAT_INVALID", format!("{name} is no sealed stream"))),
        };
        let header = FIXED + length + STREAM_HEADER;
        if length > ENVELOPE_LIMIT || header + TAG + TAG + 4 > size {
            return Err(Error::data("STREAM_TRUNCATED", format!("{name} ends before its first part does")));
        }
        Ok(Self { file, name, header, size })
    }

    /// Everything before the first segment.
    pub fn header(&mut self) -> Result<Bytes, Error> {
        self.read_at(0, self.header)
    }

    /// The sealed trailer without its length.
    pub fn trailer(&mut self) -> Result<Bytes, Error> {
        let length = be32(&self.read_at(self.size - 4, 4)?);
        let fits = (TAG..=TRAILER_LIMIT).contains(&length) && self.header + TAG + length + 4 <= self.size;
        if !fits {
            let message =
                format!("{} does not end as a sealed stream does: it is damaged or cut off", self.name);
            return Err(Error::data("STREAM_TRUNCATED", message));
        }
        self.read_at(self.size - 4 - length, length)
    }

    /// Writes the stream with another header: everything behind the header stays as it is.
    pub fn splice(mut self, header: &[u8], target: &mut Target) -> Result<u64, Error> {
        target.write(header)?;
        self.seek(self.header)?;
        let rest = target.copy(&mut self.file)?;
        if rest != self.size - self.header {
            let source = io::ErrorKind::UnexpectedEof.into();
            return Err(Error::Read { name: self.name, source });
        }
        Ok(header.len() as u64 + rest)
    }

    fn seek(&mut self, position: u64) -> Result<(), Error> {
        let sought = self.file.seek(SeekFrom::Start(position));
        sought.map(drop).map_err(|source| Error::Read { name: self.name.clone(), source })
    }

    fn read_at(&mut self, position: u64, length: u64) -> Result<Bytes, Error> {
        self.seek(position)?;
        let mut bytes = Vec::new();
        let read = (&mut self.file).take(length).read_to_end(&mut bytes);
        let read = read.map_err(|source| Error::Read { name: self.name.clone(), source })?;
        if read as u64 != length {
            return Err(truncated(&self.name, io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes.into())
    }
}

fn be32(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn truncated(name: &str, source: io::Error) -> Error {
    if source.kind() == io::ErrorKind::UnexpectedEof {
        return Error::data("STREAM_TRUNCATED", format!("{name} is cut off"));
    }
    Error::Read { name: name.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::super::target::{Content, Existing, Place};
    use super::*;

    fn sealed(envelope: &[u8], stream: &[u8], trailer: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(1);
        bytes.extend((envelope.len() as u32).to_be_bytes());
        bytes.extend(envelope);
        bytes.extend([40; STREAM_HEADER as usize]);
        bytes.extend(stream);
        bytes.extend(trailer);
        bytes.extend((trailer.len() as u32).to_be_bytes());
        bytes
    }

    fn open(bytes: &[u8]) -> Result<SealedFile, Error> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        SealedFile::new(file, "test".into())
    }

    #[test]
    fn header_and_trailer_come_out_and_the_rest_stays() {
        let old = sealed(b"envelope", b"the stream itself", b"a sealed trailer");
        let mut file = open(&old).unwrap();
        assert_eq!(file.header().unwrap(), &old[..61]);
        assert_eq!(file.trailer().unwrap(), &b"a sealed trailer"[..]);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let mut target =
            Target::open_now(&Place::Path(out.clone()), Existing::Keep, Content::Sealed).unwrap();
        let new = sealed(b"another envelope", b"the stream itself", b"a sealed trailer");
        assert_eq!(file.splice(&new[..69], &mut target).unwrap(), new.len() as u64);
        target.commit().unwrap();
        assert_eq!(fs::read(out).unwrap(), new);
    }

    #[test]
    fn every_truncation_is_an_error_and_none_panics() {
        let whole = sealed(b"envelope", b"a tag of a segme", b"a sealed trailer");
        for length in 0..whole.len() {
            let result = open(&whole[..length]).and_then(|mut file| file.trailer());
            if let Ok(trailer) = result {
                assert_ne!(trailer, &b"a sealed trailer"[..], "{length}");
            }
        }
        for lie in [u32::MAX, 300_000, 100] {
            let mut bytes = whole.clone();
            let end = bytes.len();
            bytes[end - 4..].copy_from_slice(&lie.to_be_bytes());
            assert!(open(&bytes).unwrap().trailer().is_err());
            let mut bytes = whole.clone();
            bytes[9..13].copy_from_slice(&lie.to_be_bytes());
            assert!(open(&bytes).is_err());
        }
    }
}
