//! Showing a secret once: what the vault made goes out through a descriptor that somebody handed over, past the broker.
//!
//! It is written before anything depends on it, in one go or not at all. A pipe keeps it until its reader shows it.

use std::os::fd::OwnedFd;

use life_sys::secret::SecretBytes;
use life_sys::stream::Stream;
use life_vault_protocol::VaultError;

/// A place for one secret; closed when dropped.
pub(crate) struct Delivery(Stream);

impl Delivery {
    /// Takes a descriptor over: the writing end of a pipe without a name, or a socket.
    ///
    /// # Errors
    /// [`VaultError::SecretUndelivered`] for anything else.
    pub(crate) fn to(fd: OwnedFd) -> Result<Self, VaultError> {
        Stream::new(fd).map(Self).map_err(|_| VaultError::SecretUndelivered)
    }

    /// Writes the secret, all of it.
    ///
    /// # Errors
    /// [`VaultError::SecretUndelivered`] where there is no room, or nobody to read; a part may have been written.
    pub(crate) fn write(self, secret: &SecretBytes) -> Result<(), VaultError> {
        // EXPOSE: to the reader it was made for.
        match self.0.write(secret.expose()) {
            Ok(count) if count == secret.len() => Ok(()),
            _ => Err(VaultError::SecretUndelivered),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;

    fn secret() -> SecretBytes {
        SecretBytes::new(b"shown once".to_vec())
    }

    #[test]
    fn a_secret_waits_in_the_pipe_and_ends_with_it() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        Delivery::to(writer.into()).unwrap().write(&secret()).unwrap();
        let mut shown = String::new();
        reader.read_to_string(&mut shown).unwrap();
        assert_eq!(shown, "shown once");
    }

    #[test]
    fn without_a_reader_without_room_and_into_a_file_nothing_is_delivered() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let refused = Delivery::to(writer.into()).unwrap().write(&secret());
        assert_eq!(refused, Err(VaultError::SecretUndelivered));

        let (_reader, writer) = std::io::pipe().unwrap();
        let full = Stream::new(writer.as_fd().try_clone_to_owned().unwrap()).unwrap();
        while full.write(&[0; 4096]).is_ok() {}
        let refused = Delivery::to(writer.into()).unwrap().write(&secret());
        assert_eq!(refused, Err(VaultError::SecretUndelivered));

        // The reading end is not for writing, and a file is no place for a secret.
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(Delivery::to(reader.into()).unwrap().write(&secret()).is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(Delivery::to(file.into()).err(), Some(VaultError::SecretUndelivered));
    }
}
