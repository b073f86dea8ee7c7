//! A secret that somebody writes into a descriptor.

use std::os::fd::{AsFd, BorrowedFd};

use life_sys::secret::SecretBytes;
use life_sys::stream::Stream;
use life_vault_protocol::request::MAX_SECRET;
use life_vault_protocol::{Entry, VaultError};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::{Interest, new};

/// What comes through the descriptor.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    /// A secret that opens something.
    Known,
    /// A secret to be, once or twice.
    New(Entry),
}

/// A secret of which a part may have come.
pub(crate) struct Reading {
    stream: Stream,
    expected: Expected,
    /// One byte more than there can be, to notice when there is more. On the heap, so that moving this value leaves no
    /// copy behind.
    buffer: Zeroizing<Vec<u8>>,
    have: usize,
}

life_sys::secret_types!(Reading);

impl Reading {
    pub(super) fn new(stream: Stream, expected: Expected) -> Self {
        let times = match expected {
            Expected::Known | Expected::New(Entry::Once) => 1,
            Expected::New(Entry::Twice) => 2,
        };
        Self { stream, expected, buffer: Zeroizing::new(vec![0; times * (MAX_SECRET + 1) + 1]), have: 0 }
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

    fn finish(&self) -> Result<SecretBytes, VaultError> {
        let all = self.buffer.get(..self.have).unwrap_or_default();
        let secret = match self.expected {
            Expected::Known => return once(all),
            Expected::New(Entry::Once) => once(all)?,
            Expected::New(Entry::Twice) => new::from_twice(&SecretBytes::new(all.to_vec()))?,
        };
        new::check(&secret).map(|()| secret)
    }
}

/// Everything up to the end, without one newline behind it.
fn once(all: &[u8]) -> Result<SecretBytes, VaultError> {
    let secret = all.strip_suffix(b"\n").unwrap_or(all);
    if secret.is_empty() || secret.len() > MAX_SECRET {
        return Err(VaultError::SecretUnusable);
    }
    Ok(SecretBytes::new(secret.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn read(bytes: &[u8]) -> Result<SecretBytes, VaultError> {
        read_as(bytes, Expected::Known)
    }

    fn read_as(bytes: &[u8], expected: Expected) -> Result<SecretBytes, VaultError> {
        let (mut writer, reader) = UnixStream::pair().unwrap();
        writer.write_all(bytes).unwrap();
        drop(writer);
        let mut reading = Reading::new(Stream::new(reader.into()).unwrap(), expected);
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
    fn a_new_secret_is_judged() {
        let (once, twice) = (Expected::New(Entry::Once), Expected::New(Entry::Twice));
        assert!(read_as(b"correct horse\n", once).unwrap().ct_eq(b"correct horse"));
        assert!(read_as(b"correct horse\ncorrect horse\n", twice).unwrap().ct_eq(b"correct horse"));
        let long = [[b'x'; 1024].as_slice(), b"\n"].concat().repeat(2);
        assert!(read_as(&long, twice).is_ok());
        for (bytes, expected, error) in [
            (&b"short"[..], once, VaultError::SecretTooShort),
            (b"short\nshort\n", twice, VaultError::SecretTooShort),
            (b"correct horse\ncorrect house\n", twice, VaultError::SecretsDiffer),
            (b"correct horse", twice, VaultError::SecretUnusable),
            (b"", once, VaultError::SecretUnusable),
            (b"", twice, VaultError::SecretUnusable),
        ] {
            assert_eq!(read_as(bytes, expected).err(), Some(error));
        }
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        for bytes in [vec![], b"\n".to_vec(), vec![b'x'; 1025], vec![b'x'; 5000]] {
            assert_eq!(read(&bytes).err(), Some(VaultError::SecretUnusable));
        }
    }
}
