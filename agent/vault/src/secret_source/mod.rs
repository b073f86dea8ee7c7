//! Where a passphrase comes from when it does not come with the request.

pub(crate) mod assuan;
pub(crate) mod descriptor;
pub(crate) mod new;

use std::os::fd::{BorrowedFd, OwnedFd};

use life_sys::secret::SecretBytes;
use life_sys::stream::Stream;
use life_vault_protocol::{NewSecretSource, Prompt, SecretSource, VaultError};

use self::assuan::{Asking, Wanted};
use self::descriptor::{Expected, Reading};

/// What a source waits for.
pub(crate) enum Interest {
    Readable,
    Writable,
}

/// A source in the middle of its work. It is asked what it waits for, told when that has come, and never blocks.
pub(crate) enum Source {
    Descriptor(Reading),
    Prompt(Box<Asking>),
}

life_sys::secret_types!(Source);

/// What a request's source comes to.
pub(crate) enum Begun {
    /// The secret is there.
    There(SecretBytes),
    /// It has to be waited for, so many seconds at most.
    Awaited(Source, u16),
    /// The vault makes it, and delivers it here.
    Made(OwnedFd),
}

life_sys::secret_types!(Begun);

/// Begins with a secret that opens something.
pub(crate) fn known(source: SecretSource, descriptors: Vec<OwnedFd>) -> Result<Begun, VaultError> {
    let mut descriptors = descriptors.into_iter();
    match (source, descriptors.next(), descriptors.next()) {
        (SecretSource::Inline(secret), ..) => Ok(Begun::There(secret)),
        (SecretSource::Descriptor { timeout_seconds }, Some(fd), _) => {
            Ok(Begun::Awaited(Source::descriptor(fd, Expected::Known)?, timeout_seconds))
        }
        (SecretSource::Prompt(prompt), Some(input), Some(output)) => {
            let seconds = prompt.timeout_seconds;
            Ok(Begun::Awaited(Source::prompt(input, output, prompt, Wanted::Known)?, seconds))
        }
        _ => Err(VaultError::Malformed),
    }
}

/// Begins with a new secret.
pub(crate) fn to_be(source: NewSecretSource, descriptors: Vec<OwnedFd>) -> Result<Begun, VaultError> {
    let mut descriptors = descriptors.into_iter();
    match (source, descriptors.next(), descriptors.next()) {
        (NewSecretSource::Inline(secret), ..) => new::check(&secret).map(|()| Begun::There(secret)),
        (NewSecretSource::Descriptor { timeout_seconds, entry }, Some(fd), _) => {
            Ok(Begun::Awaited(Source::descriptor(fd, Expected::New(entry))?, timeout_seconds))
        }
        (NewSecretSource::Generated, Some(fd), _) => Ok(Begun::Made(fd)),
        (NewSecretSource::Prompt(prompt), Some(input), Some(output)) => {
            let seconds = prompt.timeout_seconds;
            Ok(Begun::Awaited(Source::prompt(input, output, prompt, Wanted::New)?, seconds))
        }
        _ => Err(VaultError::Malformed),
    }
}

impl Source {
    /// A descriptor that somebody handed over; only pipes and sockets are taken.
    fn descriptor(fd: OwnedFd, expected: Expected) -> Result<Self, VaultError> {
        Ok(Self::Descriptor(Reading::new(stream(fd)?, expected)))
    }

    /// The standard input and output of a pinentry.
    fn prompt(input: OwnedFd, output: OwnedFd, prompt: Prompt, wanted: Wanted) -> Result<Self, VaultError> {
        Ok(Self::Prompt(Box::new(Asking::new(stream(input)?, stream(output)?, prompt, wanted))))
    }

    pub(crate) fn interest(&self) -> (BorrowedFd<'_>, Interest) {
        match self {
            Self::Descriptor(reading) => reading.interest(),
            Self::Prompt(asking) => asking.interest(),
        }
    }

    /// Asks again, for a secret that turned out wrong; says whether that can be done.
    pub(crate) fn again(&mut self, error: VaultError) -> bool {
        match self {
            Self::Descriptor(_) => false,
            Self::Prompt(asking) => asking.again(error),
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
