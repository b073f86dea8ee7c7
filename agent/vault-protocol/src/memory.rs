//! What the vault says of its memory.

use life_sys::scratch::Protection;

use crate::codec::{DecodeError, Reader, Sink};

/// What the vault's memory for secrets is used for, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// The size of the arena, from which all but large blocks come.
    pub arena: u64,
    /// What is taken of it.
    pub used: u64,
    /// The most that was ever taken of it at once.
    pub peak: u64,
    /// All locked memory: the arena, the stacks of threads, and large blocks.
    pub locked: u64,
    /// Large blocks, which have mappings of their own.
    pub large: u64,
    /// The most that these ever had at once.
    pub large_peak: u64,
    /// Those of them that the limit on locked memory left unlocked.
    pub large_unlocked: u64,
    /// How many requests were refused because memory might not have sufficed.
    pub refused: u64,
    /// What would protect the scratch memory of a derivation from a passphrase; none when there is no memory for it.
    pub scratch: Option<Protection>,
}

impl MemoryUse {
    pub(crate) fn encode(&self, out: &mut impl Sink) {
        let Self { arena, used, peak, locked, large, large_peak, large_unlocked, refused, scratch } = *self;
        for value in [arena, used, peak, locked, large, large_peak, large_unlocked, refused] {
            out.u64(value);
        }
        out.u8(match scratch {
            None => 0,
            Some(Protection::Locked) => 1,
            Some(Protection::Droppable) => 2,
            Some(Protection::Hidden) => 3,
        });
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            arena: input.u64()?,
            used: input.u64()?,
            peak: input.u64()?,
            locked: input.u64()?,
            large: input.u64()?,
            large_peak: input.u64()?,
            large_unlocked: input.u64()?,
            refused: input.u64()?,
            scratch: match input.u8()? {
                0 => None,
                1 => Some(Protection::Locked),
                2 => Some(Protection::Droppable),
                3 => Some(Protection::Hidden),
                _ => return Err(DecodeError),
            },
        })
    }
}
