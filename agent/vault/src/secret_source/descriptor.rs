//! A secret that somebody writes into a descriptor.

use std::os::fd::{AsFd, BorrowedFd};

use life_sys::secret::SecretBytes;
use life_sys::stream::Stream;
use life_vault_protocol::VaultError;
use life_vault_protocol::request::MAX_SECRET;
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::Interest;

/// A secret of which a part may have come.
pub(crate) struct Reading {
    stream: Stream,
    /// One byte more than a secret and its newline, to notice a longer one. On the heap, so that moving this value
    /// leaves no copy behind.
    buffer: Zeroizing<Vec<u8>>,
    have: usize,
}

impl Reading {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Zeroizing::new(vec![0; MAX_SECRET + 2]), have: 0 }
    }

    pub(super) fn interest(&self) -> (BorrowedFd<'_>, Interest) {
        (self.stream.as_fd(), Interest::Readable)
    }

    pub(super) fn step(&mut self) -> Option<Result<SecretBytes, VaultError>> {
        let free = self.buffer.get_mut(self.have..).unwrap_or_default();
        match self.stream.read(free) {
            Ok(0) => Some(self.finish()),
            Ok(count) => {
                self.have += count;
                (self.have >= self.buffer.len()).then_some(Err(VaultError::SecretUnusable))
            }
            Err(Errno::INTR | Errno::AGAIN) => None,
            Err(_) => Some(Err(VaultError::SecretUnusable)),
        }
    }

    /// Everything up to the end, without one newline behind it.
    fn finish(&self) -> Result<SecretBytes, VaultError> {
        let all = self.buffer.get(..self.have).unwrap_or_default();
        let secret = all.strip_suffix(b"\n").unwrap_or(all);
        if secret.is_empty() || secret.len() > MAX_SECRET {
            return Err(VaultError::SecretUnusable);
        }
        Ok(SecretBytes::new(secret.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn read(bytes: &[u8]) -> Result<SecretBytes, VaultError> {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        writer.write_all(bytes).unwrap();
        drop(writer);
        let mut reading = Reading::new(Stream::new(reader.into()).unwrap());
        loop {
            if let Some(result) = reading.step() {
                return result;
            }
        }
    }

    #[test]
    fn one_newline_is_dropped_and_nothing_else() {
        assert!(read(b"secret").unwrap().ct_eq(b"secret"));
        assert!(read(b"secret\n").unwrap().ct_eq(b"secret"));
        assert!(read(b" secret\n\n").unwrap().ct_eq(b" secret\n"));
        assert!(read(&[b'x'; 1024]).is_ok());
        assert!(read(&[[b'x'; 1024].as_slice(), b"\n"].concat()).is_ok());
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        for bytes in [vec![], b"\n".to_vec(), vec![b'x'; 1025], vec![b'x'; 5000]] {
            assert_eq!(read(&bytes).err(), Some(VaultError::SecretUnusable));
        }
    }
}
