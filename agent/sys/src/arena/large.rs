//! Large blocks: each a mapping of its own, so that a big message neither fills the arena nor cuts it up.

use super::book::{Block, PAGE};
use super::region;

/// Blocks of this size and more are large, in bytes.
pub(super) const LARGE: usize = 256 * 1024;
/// The most large blocks at once, and their bytes in all: what the requests that may run at once can need, and more.
const MAX_COUNT: usize = 64;
pub(super) const MAX_BYTES: usize = 64 << 20;

#[derive(Clone, Copy)]
struct Mapping {
    start: usize,
    size: usize,
    locked: bool,
}

const VACANT: Mapping = Mapping { start: 0, size: 0, locked: false };

/// Whether a block may do without a lock when the limit for locked memory is used up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// It must be locked: it may hold a secret.
    Due,
    /// So large a message holds account logs and pin stores, no secret.
    Wanted,
}

/// What is mapped.
pub(super) struct Large {
    mappings: [Mapping; MAX_COUNT],
    bytes: usize,
    peak: usize,
    unlocked: usize,
}

impl Large {
    pub(super) const fn new() -> Self {
        Self { mappings: [VACANT; MAX_COUNT], bytes: 0, peak: 0, unlocked: 0 }
    }

    /// Bytes now, at most at once, and now without a lock.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.bytes, self.peak, self.unlocked)
    }

    /// Makes a new block; none when there are too many already, the system refuses, or a lock is due that is not to be had.
    pub(super) fn take(&mut self, size: usize, lock: Lock) -> Option<*mut u8> {
        let size = size.checked_next_multiple_of(PAGE)?;
        self.bytes.checked_add(size).filter(|bytes| *bytes <= MAX_BYTES)?;
        let place = self.mappings.iter_mut().find(|mapping| mapping.size == 0)?;
        let start = region::map(size)?.as_ptr();
        let locked = region::lock(start, size).is_ok();
        if !locked && lock == Lock::Due {
            region::unmap(start, size);
            return None;
        }
        *place = Mapping { start: start as usize, size, locked };
        self.bytes += size;
        self.peak = self.peak.max(self.bytes);
        if !locked {
            self.unlocked += size;
        }
        Some(start)
    }

    /// The block that begins there; its offset is the address.
    pub(super) fn find(&self, start: usize) -> Option<Block> {
        let mapping = self.mappings.iter().find(|mapping| mapping.size > 0 && mapping.start == start)?;
        Some(Block { offset: start, size: mapping.size })
    }

    /// Unmaps the block that begins there; none when no block does.
    pub(super) fn give_back(&mut self, block: *mut u8) -> Option<Block> {
        let start = block as usize;
        let place = self.mappings.iter_mut().find(|mapping| mapping.size > 0 && mapping.start == start)?;
        let mapping = std::mem::replace(place, VACANT);
        self.bytes -= mapping.size;
        if mapping.locked {
            region::unlocked(mapping.size);
        } else {
            self.unlocked -= mapping.size;
        }
        region::unmap(block, mapping.size);
        Some(Block { offset: start, size: mapping.size })
    }
}
