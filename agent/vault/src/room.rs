//! Whether there is memory for one more request. The arena never grows, and a process that uses it up ends: so what a
//! request may need is set aside before it is even decoded, and one that might not fit is refused without harm to others.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use life_sys::arena;
use life_sys::scratch::Protection;
use life_vault_protocol::{MemoryUse, Request, RequestKind, VaultError};

const KIB: usize = 1024;
/// What stays free for what is never refused: locking, answers, the log.
const FLOOR: usize = 256 * KIB;
/// What an operation with a key needs besides its message.
const KEY_WORK: usize = 64 * KIB;
/// What stays free for the work of those who are there: nobody more is let in into it.
const WORK: usize = 2 * KEY_WORK;
/// The longest frame that may bring a secret: what is longer might lie in memory that could not be locked.
const MAX_WITH_SECRET: usize = 128 * KIB;
/// The part of a message that counts: longer ones have mappings of their own.
const IN_ARENA: usize = 256 * KIB;
/// What verifying the longest account log keeps of it.
const LOG_STATE: usize = 1024 * KIB;

/// Sets memory aside for what is under way.
#[derive(Default)]
pub(crate) struct Room {
    aside: AtomicUsize,
    refused: AtomicU64,
    scratch: Option<Protection>,
}

/// Memory that is set aside, until this is dropped.
pub(crate) struct Lease<'a> {
    room: &'a Room,
    bytes: usize,
}

impl Room {
    /// All room is free. What scratch memory would have is found out before the sandbox closes.
    pub(crate) fn new(scratch: Option<Protection>) -> Self {
        Self { scratch, ..Self::default() }
    }

    /// Room to decode the request in a frame's body and, when it is a quick one, to perform it.
    pub(crate) fn for_request(&self, body: &[u8]) -> Result<Lease<'_>, VaultError> {
        let long = body.len().min(IN_ARENA);
        let bytes = match Request::kind_of(body) {
            // They free memory or need none, or wait for who takes it then; what is no request is refused by its decoder.
            None
            | Some(
                RequestKind::AwaitCards
                | RequestKind::CancelSecret
                | RequestKind::DiscardAccount
                | RequestKind::ListCards
                | RequestKind::Lock
                | RequestKind::LockAll
                | RequestKind::LockUser
                | RequestKind::Status,
            ) => return Ok(Lease { room: self, bytes: 0 }),
            Some(RequestKind::ExportSoftwareCertificate | RequestKind::OpenSoftwareCertificate)
                if body.len() > MAX_WITH_SECRET =>
            {
                return Err(VaultError::Malformed);
            }
            Some(RequestKind::ExportSoftwareCertificate) => 3 * long,
            Some(RequestKind::OpenSoftwareCertificate) => return self.let_in(3 * long),
            Some(RequestKind::GenerateAccount) => return self.let_in(KEY_WORK),
            Some(RequestKind::OpenRoot) => {
                return self.let_in(KEY_WORK + 2 * long + (2 * body.len()).min(LOG_STATE));
            }
            Some(
                RequestKind::AnswerChallenge
                | RequestKind::CommitAccount
                | RequestKind::Mac
                | RequestKind::SignAttributes
                | RequestKind::SignTls
                | RequestKind::UnwrapContentKey,
            ) => KEY_WORK + 6 * long,
        };
        self.set_aside(bytes)
    }

    /// Sets memory aside for what keeps some of it, and leaves enough for the work of those who are there.
    pub(crate) fn let_in(&self, bytes: usize) -> Result<Lease<'_>, VaultError> {
        self.take(bytes, FLOOR + WORK)
    }

    /// Sets memory aside.
    pub(crate) fn set_aside(&self, bytes: usize) -> Result<Lease<'_>, VaultError> {
        self.take(bytes, FLOOR)
    }

    fn take(&self, bytes: usize, spare: usize) -> Result<Lease<'_>, VaultError> {
        // What leases stand for is counted twice once it is taken: too much rather than too little. Looked at anew each
        // time: another thread may have taken its memory and given its lease back meanwhile.
        let free = || arena::usage().free.saturating_sub(spare);
        let more = |aside: usize| aside.checked_add(bytes).filter(|aside| *aside <= free());
        match self.aside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more) {
            Ok(_) => Ok(Lease { room: self, bytes }),
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(VaultError::OutOfMemory)
            }
        }
    }

    /// What the memory is used for.
    pub(crate) fn usage(&self) -> MemoryUse {
        let usage = arena::usage();
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        MemoryUse {
            arena: count(usage.arena),
            used: count(usage.live),
            peak: count(usage.peak),
            locked: count(usage.locked),
            large: count(usage.large),
            large_peak: count(usage.large_peak),
            large_unlocked: count(usage.large_unlocked),
            refused: self.refused.load(Ordering::Relaxed),
            scratch: self.scratch,
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.room.aside.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use life_vault_protocol::{SessionId, encode_request};

    use super::*;

    #[test]
    fn what_is_set_aside_comes_back() {
        let room = Room::default();
        let half = arena::SIZE / 2;
        let first = room.set_aside(half).map(Some).unwrap_or_default();
        assert!(first.is_some());
        assert_eq!(room.set_aside(half).err(), Some(VaultError::OutOfMemory));
        assert_eq!(room.usage().refused, 1);
        drop(first);
        assert!(room.set_aside(half).is_ok());
    }

    #[test]
    fn nobody_is_let_in_where_those_who_are_there_could_not_work() {
        let room = Room::default();
        let _lease = room.set_aside(arena::usage().free - FLOOR - WORK).map_err(|_| ()).unwrap();
        assert_eq!(room.let_in(KIB).err(), Some(VaultError::OutOfMemory));
        assert!(room.set_aside(KEY_WORK).is_ok());
    }

    #[test]
    fn locking_is_never_refused() {
        let room = Room::default();
        let body = |request: &Request| encode_request(1, request).unwrap().expose()[12..].to_vec();
        let all = arena::usage().free - FLOOR;
        let _lease = room.set_aside(all).map_err(|_| ()).unwrap();
        let session = SessionId(1);
        let sign = body(&Request::SignTls { session, input: vec![0; 146] });
        assert_eq!(room.for_request(&sign).err(), Some(VaultError::OutOfMemory));
        for request in [
            Request::Status,
            Request::LockAll,
            Request::LockUser { uid: life_pki::Uid::from_random([1; 16]) },
            Request::Lock { session },
            Request::CancelSecret { request: 7 },
        ] {
            assert!(room.for_request(&body(&request)).is_ok());
        }
    }

    #[test]
    fn no_secret_comes_in_a_long_message() {
        let room = Room::default();
        let mut body = vec![RequestKind::ExportSoftwareCertificate.number(); MAX_WITH_SECRET];
        assert!(room.for_request(&body).is_ok());
        body.push(0);
        assert_eq!(room.for_request(&body).err(), Some(VaultError::Malformed));
    }
}
