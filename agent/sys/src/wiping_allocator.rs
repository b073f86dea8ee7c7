//! An allocator that wipes memory before it gives it back: for what crates copy without wiping it themselves.
#![expect(unsafe_code, reason = "an allocator is raw memory; each block is one call")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::{ptr, slice};

/// The system's allocator, which wipes each block before it is freed or moved.
///
/// A process makes it its `#[global_allocator]`. Blocks of every size are wiped: on streams of content the broker's
/// processor time is the same with it and without.
pub struct WipingAllocator<A = System>(A);

impl WipingAllocator {
    /// The one that a process has.
    #[must_use]
    pub const fn new() -> Self {
        Self(System)
    }
}

impl Default for WipingAllocator {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every block comes from the inner allocator and goes back to it with the layout it was made with; what is
// written meanwhile lies inside blocks that their owner has given up.
unsafe impl<A: GlobalAlloc> GlobalAlloc for WipingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise about the layout is passed on.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives up a live block of that size, and nobody else refers to it.
        unsafe { ptr::write_bytes(block, 0, layout.size()) };
        // SAFETY: the block is still live, and all of it was just written.
        let wiped = unsafe { slice::from_raw_parts(block, layout.size()) };
        // For all the compiler knows somebody reads it, so it cannot leave the writing out.
        zeroize::optimization_barrier(wiped);
        // SAFETY: the caller's promise about block and layout is passed on.
        unsafe { self.0.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the new size, rounded up to the alignment, does not overflow.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: the caller promises that the new size is not zero.
        let new_block = unsafe { self.0.alloc(new_layout) };
        if !new_block.is_null() {
            // SAFETY: both blocks are live, at least that long, and two.
            unsafe { ptr::copy_nonoverlapping(block, new_block, layout.size().min(new_size)) };
            // SAFETY: as the caller promises; the block is not used any more.
            unsafe { self.dealloc(block, layout) };
        }
        new_block
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Looks at what comes back before it frees it.
    #[derive(Default)]
    struct Judge {
        freed: Cell<usize>,
        dirty: Cell<usize>,
    }

    // SAFETY: the system's allocator does it all.
    unsafe impl GlobalAlloc for Judge {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: passed on; zeroed, so that every byte may be read later.
            unsafe { System.alloc_zeroed(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: all bytes of the block were initialised by `alloc`.
            let bytes = unsafe { slice::from_raw_parts(block, layout.size()) };
            self.freed.set(self.freed.get() + 1);
            self.dirty.set(self.dirty.get() + usize::from(bytes.iter().any(|byte| *byte != 0)));
            // SAFETY: passed on.
            unsafe { System.dealloc(block, layout) }
        }
    }

    /// Fills a block, has it grow and shrink, and frees it; gives what came back, and what of it was not wiped.
    fn lived(size: usize) -> (usize, usize) {
        let allocator = WipingAllocator(Judge::default());
        let layout = |size| Layout::from_size_align(size, 16).unwrap();
        // SAFETY: the layout is not empty.
        let mut block = unsafe { allocator.alloc(layout(size)) };
        let mut now = size;
        for next in [2 * size, 3 * size, size / 2] {
            // SAFETY: the block is that long.
            unsafe { ptr::write_bytes(block, 7, now) };
            // SAFETY: the block has that layout, and the new size is not zero.
            block = unsafe { allocator.realloc(block, layout(now), next) };
            // SAFETY: the block is that long and was initialised.
            let kept = unsafe { slice::from_raw_parts(block, now.min(next)) };
            assert!(kept.iter().all(|byte| *byte == 7));
            now = next;
        }
        // SAFETY: the block has that layout and is not used any more.
        unsafe { allocator.dealloc(block, layout(now)) };
        (allocator.0.freed.get(), allocator.0.dirty.get())
    }

    #[test]
    fn what_is_freed_or_moved_is_wiped() {
        for size in [16, 100, 5000, 100_000] {
            assert_eq!(lived(size), (4, 0));
        }
    }
}
