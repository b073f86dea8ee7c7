//! What a verified log says about its account.

use super::{CredentialId, CredentialKeys, EntryHash};
use crate::key::SpkiHash;
use crate::kind::{CredentialKind, ParticipantKind};
use crate::time::Timestamp;
use crate::uid::Uid;

/// An account as its verified log describes it. Only [`super::verify`] and its kin make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    pub(super) uid: Uid,
    pub(super) kind: ParticipantKind,
    pub(super) genesis: EntryHash,
    pub(super) head: EntryHash,
    pub(super) length: u32,
    pub(super) last_time: Timestamp,
    pub(super) credentials: Vec<CredentialRecord>,
    pub(super) current_root: RootRecord,
    pub(super) earlier_roots: Vec<RootRecord>,
}

/// The place of an entry in the log and the time it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The entry's index.
    pub index: u32,
    /// The entry's time: its signer's claim.
    pub time: Timestamp,
}

/// A working credential that a log names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Its id, kind and keys.
    pub keys: CredentialKeys,
    /// When it was added.
    pub added: Moment,
    /// When it was revoked, if it was.
    pub revoked: Option<Moment>,
}

impl CredentialRecord {
    /// Whether it has not been revoked.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.revoked.is_none()
    }

    /// Whether it was live at a time, by the times of the entries. The second of its revocation no longer counts.
    #[must_use]
    pub fn was_live_at(&self, time: Timestamp) -> bool {
        self.added.time <= time && self.revoked.is_none_or(|revoked| time < revoked.time)
    }
}

/// A root credential that a log names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootRecord {
    /// The generation, from 1.
    pub generation: u32,
    /// Its key.
    pub spki_hash: SpkiHash,
    /// When it became the root credential.
    pub since: Moment,
}

impl AccountState {
    /// The user.
    #[must_use]
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// What kind of participant the user is.
    #[must_use]
    pub fn kind(&self) -> ParticipantKind {
        self.kind
    }

    /// The hash of entry 0: the name of this account for whoever pins it.
    #[must_use]
    pub fn genesis(&self) -> EntryHash {
        self.genesis
    }

    /// The hash of the last entry.
    #[must_use]
    pub fn head(&self) -> EntryHash {
        self.head
    }

    /// How many entries the log has; at least 2.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// The time of the last entry.
    #[must_use]
    pub fn last_time(&self) -> Timestamp {
        self.last_time
    }

    /// All working credentials in the order of their adding, revoked ones included.
    #[must_use]
    pub fn credentials(&self) -> &[CredentialRecord] {
        &self.credentials
    }

    /// A working credential, live or revoked.
    #[must_use]
    pub fn credential(&self, id: &CredentialId) -> Option<&CredentialRecord> {
        self.credentials.iter().find(|record| record.keys.id == *id)
    }

    /// A working credential that has not been revoked.
    #[must_use]
    pub fn live_credential(&self, id: &CredentialId) -> Option<&CredentialRecord> {
        self.credential(id).filter(|record| record.is_live())
    }

    /// The working credential, live or revoked, whose signature key this is. Access tokens sign nothing and are
    /// never found.
    #[must_use]
    pub fn signer(&self, spki_hash: &SpkiHash) -> Option<&CredentialRecord> {
        self.credentials
            .iter()
            .find(|record| record.keys.signature == *spki_hash && is_permanent(record.keys.kind))
    }

    /// The working credential, live or revoked, whose authentication key this is.
    #[must_use]
    pub fn authenticator(&self, spki_hash: &SpkiHash) -> Option<&CredentialRecord> {
        self.credentials.iter().find(|record| record.keys.authentication == *spki_hash)
    }

    /// The root credential of the highest generation: the only one to encrypt to.
    #[must_use]
    pub fn current_root(&self) -> &RootRecord {
        &self.current_root
    }

    /// The root credential of a generation.
    #[must_use]
    pub fn root(&self, generation: u32) -> Option<&RootRecord> {
        self.roots().find(|root| root.generation == generation)
    }

    /// The root credential, current or earlier, that has this key.
    #[must_use]
    pub fn owner_of_root(&self, spki_hash: &SpkiHash) -> Option<&RootRecord> {
        self.roots().find(|root| root.spki_hash == *spki_hash)
    }

    /// All root credentials, the current one last.
    pub fn roots(&self) -> impl Iterator<Item = &RootRecord> {
        self.earlier_roots.iter().chain([&self.current_root])
    }
}

/// Every kind but the one-time access token.
pub(super) fn is_permanent(kind: CredentialKind) -> bool {
    kind != CredentialKind::AccessToken
}
