//! What one remembers of an account, so that nobody can show another history later.

use der::asn1::OctetString;
use der::{Encode, Sequence};

use super::verify::verify_entries;
use super::{AccountState, EntryError, EntryHash, LogError, LogFault, MAX_ENTRIES};
use crate::asn1::decode_canonical;
use crate::time::Timestamp;
use crate::uid::Uid;

const VERSION: u8 = 1;

/// The user, genesis, head, length and root generation of a log that was verified once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    uid: Uid,
    genesis: EntryHash,
    head: EntryHash,
    length: u32,
    generation: u32,
}

/// Why a log does not extend a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// The log shares its beginning with the pinned one at most: somebody shows two histories.
    #[error("the account log contradicts the one seen before")]
    Forked,
    /// The log has another genesis: the account was reset, or somebody else poses as the user.
    #[error("the account is another one than the one seen before")]
    IdentityChanged,
    /// The log breaks a rule by itself.
    #[error(transparent)]
    Invalid(#[from] LogError),
    /// The log is shorter than the pinned one: an old state is shown.
    #[error("the account log is older than the one seen before")]
    RolledBack,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct WirePin {
    version: u8,
    uid: OctetString,
    genesis: OctetString,
    head: OctetString,
    length: u32,
    generation: u32,
}

impl Pin {
    /// Pins a verified log as it is.
    #[must_use]
    pub fn from_state(state: &AccountState) -> Self {
        Self {
            uid: state.uid(),
            genesis: state.genesis(),
            head: state.head(),
            length: state.length(),
            generation: state.current_root().generation,
        }
    }

    /// Verifies a whole log as of `now` and that it extends the pinned one, and pins its new head.
    ///
    /// The old pin stays valid for what it was; the caller keeps whichever it decides to keep.
    ///
    /// # Errors
    /// [`PinError::Invalid`] first: a log that does not prove itself accuses nobody. Then
    /// [`PinError::IdentityChanged`], [`PinError::RolledBack`] and [`PinError::Forked`].
    pub fn extend<E: AsRef<[u8]>>(
        &self,
        entries: &[E],
        now: Timestamp,
    ) -> Result<(AccountState, Self), PinError> {
        let verified = verify_entries(entries, now)?;
        let state = verified.state;
        if state.uid() != self.uid {
            return Err(LogError { index: 0, fault: LogFault::WrongUser }.into());
        }
        if state.genesis() != self.genesis {
            return Err(PinError::IdentityChanged);
        }
        let pinned = usize::try_from(self.length).ok().and_then(|length| length.checked_sub(1));
        match pinned.and_then(|index| verified.hashes.get(index)) {
            None => Err(PinError::RolledBack),
            Some(hash) if *hash != self.head => Err(PinError::Forked),
            Some(_) => {
                let pin = Self::from_state(&state);
                Ok((state, pin))
            }
        }
    }

    /// The pinned user.
    #[must_use]
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// The hash of the genesis, from which the fingerprint is made.
    #[must_use]
    pub fn genesis(&self) -> EntryHash {
        self.genesis
    }

    /// The hash of the last entry seen.
    #[must_use]
    pub fn head(&self) -> EntryHash {
        self.head
    }

    /// How many entries were seen.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// The highest root generation seen.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The DER encoding, to be stored under a MAC.
    ///
    /// # Errors
    /// [`EntryError::Malformed`] when the encoder fails, which no pin makes it do.
    pub fn to_der(&self) -> Result<Vec<u8>, EntryError> {
        let wire = WirePin {
            version: VERSION,
            uid: OctetString::new(self.uid.as_bytes().as_slice())?,
            genesis: OctetString::new(self.genesis.0.as_slice())?,
            head: OctetString::new(self.head.0.as_slice())?,
            length: self.length,
            generation: self.generation,
        };
        Ok(wire.to_der()?)
    }

    /// Reads a pin from its DER encoding.
    ///
    /// # Errors
    /// [`EntryError`] for other bytes, and for a length or generation that no log has.
    pub fn from_der(der: &[u8]) -> Result<Self, EntryError> {
        let wire: WirePin = decode_canonical(der)?;
        if wire.version != VERSION {
            return Err(EntryError::UnknownVersion);
        }
        let longest = u32::try_from(MAX_ENTRIES).map_err(|_| EntryError::Malformed)?;
        let plausible = (2..=longest).contains(&wire.length) && (1..wire.length).contains(&wire.generation);
        if !plausible {
            return Err(EntryError::Malformed);
        }
        Ok(Self {
            uid: Uid::from_slice(wire.uid.as_bytes()).map_err(|_| EntryError::Malformed)?,
            genesis: EntryHash::from_slice(wire.genesis.as_bytes()).ok_or(EntryError::Malformed)?,
            head: EntryHash::from_slice(wire.head.as_bytes()).ok_or(EntryError::Malformed)?,
            length: wire.length,
            generation: wire.generation,
        })
    }
}
