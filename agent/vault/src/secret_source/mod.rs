//! Where a passphrase comes from when it does not come with the request.

pub(crate) mod assuan;
pub(crate) mod descriptor;

use std::os::fd::{BorrowedFd, OwnedFd};

use life_sys::secret::SecretBytes;
use life_sys::stream::Stream;
use life_vault_protocol::{Prompt, VaultError};

/// What a source waits for.
pub(crate) enum Interest {
    Readable,
    Writable,
}

/// A source in the middle of its work. It is asked what it waits for, told when that has come, and never blocks.
pub(crate) enum Source {
    Descriptor(descriptor::Reading),
    Prompt(assuan::Asking),
}

impl Source {
    /// A descriptor that somebody handed over; only pipes and sockets are taken.
    pub(crate) fn descriptor(fd: OwnedFd) -> Result<Self, VaultError> {
        Ok(Self::Descriptor(descriptor::Reading::new(stream(fd)?)))
    }

    /// The standard input and output of a pinentry.
    pub(crate) fn prompt(input: OwnedFd, output: OwnedFd, prompt: &Prompt) -> Result<Self, VaultError> {
        Ok(Self::Prompt(assuan::Asking::new(stream(input)?, stream(output)?, prompt)))
    }

    pub(crate) fn interest(&self) -> (BorrowedFd<'_>, Interest) {
        match self {
            Self::Descriptor(reading) => reading.interest(),
            Self::Prompt(asking) => asking.interest(),
        }
    }

    /// Does one step; `None` when there is more to wait for.
    pub(crate) fn step(&mut self) -> Option<Result<SecretBytes, VaultError>> {
        match self {
            Self::Descriptor(reading) => reading.step(),
            Self::Prompt(asking) => asking.step(),
        }
    }
}

fn stream(fd: OwnedFd) -> Result<Stream, VaultError> {
    Stream::new(fd).map_err(|_| VaultError::SecretUnusable)
}
