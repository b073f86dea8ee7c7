//! The memory that secrets live in: one region that is locked, kept out of dumps and forks, lies between guard pages,
//! and is wiped block by block as it is given back.
//!
//! [`Arena`] is a process's `#[global_allocator]`; [`crate::aws_lc`] has AWS-LC's heap come from here as well. It serves
//! from the first allocation on, before `main`; [`lock`] is called by `main` before there is any secret. Blocks of 256 KiB
//! and more get mappings of their own, locked as far as the limit allows, and so do blocks of more than 2 KiB that find
//! no room in one piece, which are locked or not given.
//!
//! There is no falling back: when the arena is used up the process ends, and what it held goes with it. Whoever takes
//! requests looks at [`usage`] first and refuses what might not fit.
#![expect(unsafe_code, reason = "an allocator is raw memory; each block is one call")]

mod book;
mod large;
mod region;
mod spin;

use std::alloc::{GlobalAlloc, Layout};
use std::io;
use std::{process, ptr, slice};

pub(crate) use book::PAGE;
use book::{Block, Book};
use large::{LARGE, Large, Lock};
use region::locked;
pub(crate) use region::{
    keep_out_of_dumps, lock as lock_pages, lock_on_fault, map as map_pages, unlocked as unlocked_pages,
    unmap as unmap_pages,
};
use spin::Spin;

/// The arena's size, in bytes: with the stacks of the vault's threads it fits RLIMIT_MEMLOCK's usual 8 MiB.
pub const SIZE: usize = 4 << 20;
const PAGES: usize = SIZE / PAGE;
/// A block of more bytes, which takes whole pages, gets a mapping of its own when the arena does not have them in one piece:
/// who looks at what is free counts pages wherever they are.
const SHORT: usize = 2048;

static STATE: Spin<State> =
    Spin::new(State { start: None, locked: false, book: Book::new(), large: Large::new() });

struct State {
    /// Where the region begins, once there is one.
    start: Option<usize>,
    locked: bool,
    book: Book<PAGES>,
    large: Large,
}

/// What is used of the arena and beside it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The arena's size.
    pub arena: usize,
    /// Taken blocks of the arena.
    pub live: usize,
    /// The most that was ever taken at once.
    pub peak: usize,
    /// Pages of the arena in which nothing is taken.
    pub free: usize,
    /// All locked memory of the process: the arena, threads' stacks, and large blocks.
    pub locked: usize,
    /// Blocks with mappings of their own.
    pub large: usize,
    /// The most that these had at once.
    pub large_peak: usize,
    /// Those of them that are not locked, because the limit did not allow it.
    pub large_unlocked: usize,
}

/// The allocator that serves from the arena.
pub struct Arena;

/// Locks the arena into memory. To be called once, before there is any secret.
///
/// # Errors
/// What the system says, commonly that RLIMIT_MEMLOCK is too low; a process that is to hold keys must then not go on.
pub fn lock() -> io::Result<()> {
    let mut state = STATE.lock();
    if state.locked {
        return Ok(());
    }
    let start = state.start().ok_or(io::ErrorKind::OutOfMemory)?;
    region::lock(start as *mut u8, SIZE)?;
    state.locked = true;
    Ok(())
}

/// What is used.
#[must_use]
pub fn usage() -> Usage {
    let state = STATE.lock();
    let (large, large_peak, large_unlocked) = state.large.counts();
    let (live, peak, free) = (state.book.live(), state.book.peak(), state.book.free());
    drop(state);
    Usage { arena: SIZE, live, peak, free, locked: locked(), large, large_peak, large_unlocked }
}

impl State {
    /// Where the region begins; it is mapped when it is first needed.
    fn start(&mut self) -> Option<usize> {
        if self.start.is_none() {
            self.start = region::map(SIZE).map(|start| start.as_ptr() as usize);
        }
        self.start
    }

    fn take(&mut self, size: usize, align: usize) -> Option<*mut u8> {
        if size >= LARGE {
            return (align <= PAGE).then(|| self.large.take(size, Lock::Wanted))?;
        }
        let start = self.start()?;
        match self.book.take(size, align) {
            Some(block) => Some((start + block.offset) as *mut u8),
            // The arena may have room, but cut up. Such a block can be a file's content, or a frame with a passphrase.
            None if size > SHORT && align <= PAGE => self.large.take(size, Lock::Due),
            None => None,
        }
    }

    /// The block that begins there.
    fn find(&self, block: *mut u8) -> Option<Block> {
        match self.offset(block) {
            Some(offset) => self.book.find(offset),
            None => self.large.find(block as usize),
        }
    }

    fn give_back(&mut self, block: *mut u8) -> Option<Block> {
        match self.offset(block) {
            Some(offset) => self.book.give_back(offset),
            None => self.large.give_back(block),
        }
    }

    /// The offset of an address inside the region.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        (block as usize).checked_sub(self.start?).filter(|offset| *offset < SIZE)
    }
}

/// Takes a block of zeros. The process ends when there is no room.
pub(crate) fn take(size: usize, align: usize) -> *mut u8 {
    let block = STATE.lock().take(size, align);
    block.unwrap_or_else(|| end("the memory for secrets is used up"))
}

/// What a block can hold, in bytes. The process ends when no block begins there: somebody has lost count.
pub(crate) fn size_of(block: *mut u8) -> usize {
    let found = STATE.lock().find(block);
    found.map_or_else(|| end(LOST), |block| block.size)
}

/// Wipes a block and gives it back.
///
/// # Safety
/// Nobody may use the block any more.
pub(crate) unsafe fn give_back(block: *mut u8) {
    let size = size_of(block);
    // SAFETY: the block has that size, and the caller gives it up.
    unsafe { wipe(block, size) };
    if STATE.lock().give_back(block).is_none() {
        end(LOST);
    }
}

/// Gives a block another size, by moving it unless it fits where it is; what it leaves is wiped.
///
/// # Safety
/// Nobody may use the block any more but by what this gives.
pub(crate) unsafe fn resize(block: *mut u8, new_size: usize, align: usize) -> *mut u8 {
    let size = size_of(block);
    if new_size <= size && new_size > size / 2 {
        let rest = block.wrapping_add(new_size);
        // SAFETY: the block has that size, and what lies behind the new one is nobody's.
        unsafe { wipe(rest, size - new_size) };
        return block;
    }
    let new_block = take(new_size, align);
    // SAFETY: both are live, at least that long, and two.
    unsafe { ptr::copy_nonoverlapping(block, new_block, size.min(new_size)) };
    // SAFETY: as the caller promises.
    unsafe { give_back(block) };
    new_block
}

/// Writes zeros, and has the compiler believe that somebody reads them.
///
/// # Safety
/// The bytes must be writable and nobody else's.
unsafe fn wipe(start: *mut u8, len: usize) {
    // SAFETY: as the caller promises.
    unsafe { ptr::write_bytes(start, 0, len) };
    // SAFETY: the bytes were just written.
    let wiped = unsafe { slice::from_raw_parts(start, len) };
    zeroize::optimization_barrier(wiped);
}

const LOST: &str = "a block was given back that was not taken";

/// Ends the process at once: there is no state to go on from. Nothing here allocates.
#[cold]
#[expect(clippy::disallowed_methods, reason = "this is the vault's allocator")]
fn end(why: &str) -> ! {
    for part in ["life: ", why, "; the process ends\n"] {
        let _ = rustix::io::write(rustix::stdio::stderr(), part.as_bytes());
    }
    process::abort()
}

// SAFETY: blocks are apart, as large and as aligned as asked for, and stay until they are given back (the book's tests).
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size(), layout.align())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // Every block is zeros.
        take(layout.size(), layout.align())
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller gives up a live block.
        unsafe { give_back(block) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller gives up a live block.
        unsafe { resize(block, new_size, layout.align()) }
    }
}
