//! Memory straight from the system: between guard pages, kept out of dumps and forks, locked where the limit allows.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mlock, mmap_anonymous, mprotect, munmap};

/// A guard's size, in bytes: a multiple of the page size of every system, which may be 4, 16 or 64 KiB.
const GUARD: usize = 64 * 1024;

/// The bytes of this process that are locked by this crate.
static LOCKED: AtomicUsize = AtomicUsize::new(0);

/// How many bytes are locked: the arena, threads' stacks, and large blocks.
pub(crate) fn locked() -> usize {
    LOCKED.load(Ordering::Relaxed)
}

/// Maps `len` bytes, a multiple of 4 KiB, between two guards that nobody may touch; all of them zero.
///
/// None when the system refuses any of it: without guards, or within reach of a dump, there is no memory.
pub(crate) fn map(len: usize) -> Option<NonNull<u8>> {
    let total = len.checked_add(2 * GUARD)?;
    // SAFETY: a new mapping at a place of the kernel's choice touches no other.
    let whole =
        unsafe { mmap_anonymous(ptr::null_mut(), total, ProtFlags::empty(), MapFlags::PRIVATE) }.ok()?;
    let middle = whole.cast::<u8>().wrapping_add(GUARD);
    let ready =
        open(middle, len) && keep_out_of_dumps(middle, len).is_ok() && keep_out_of_forks(middle, len).is_ok();
    if !ready {
        unmap(middle, len);
        return None;
    }
    NonNull::new(middle)
}

fn open(start: *mut u8, len: usize) -> bool {
    // SAFETY: the pages belong to a mapping that nobody uses yet.
    unsafe { mprotect(start.cast(), len, MprotectFlags::READ | MprotectFlags::WRITE) }.is_ok()
}

/// Unmaps what [`map`] gave, with its guards.
pub(crate) fn unmap(start: *mut u8, len: usize) {
    // SAFETY: the caller has the whole mapping and gives it up.
    let unmapped = unsafe { munmap(start.wrapping_sub(GUARD).cast(), len + 2 * GUARD) };
    debug_assert!(unmapped.is_ok());
}

/// Keeps pages out of core dumps.
///
/// # Errors
/// What the system says.
#[cfg(target_os = "linux")]
pub(crate) fn keep_out_of_dumps(start: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the advice changes nothing that this process sees.
    Ok(unsafe { rustix::mm::madvise(start.cast(), len, rustix::mm::Advice::LinuxDontDump) }?)
}

/// A child has no copy of these pages: there they would not be locked.
#[cfg(target_os = "linux")]
fn keep_out_of_forks(start: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: as above.
    Ok(unsafe { rustix::mm::madvise(start.cast(), len, rustix::mm::Advice::LinuxDontFork) }?)
}

/// There is no such advice here: dumps are forbidden for the whole process ([`crate::hardening::harden`]).
#[cfg(not(target_os = "linux"))]
pub(crate) fn keep_out_of_dumps(_start: *mut u8, _len: usize) -> io::Result<()> {
    Ok(())
}

/// There is no such advice here; the vault starts no processes.
#[cfg(not(target_os = "linux"))]
fn keep_out_of_forks(_start: *mut u8, _len: usize) -> io::Result<()> {
    Ok(())
}

/// Locks pages into memory, so that they are never written to swap.
///
/// # Errors
/// What the system says: commonly that RLIMIT_MEMLOCK is too low.
pub(crate) fn lock(start: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the pages are mapped; locking does not change them.
    unsafe { mlock(start.cast(), len) }?;
    LOCKED.fetch_add(len, Ordering::Relaxed);
    Ok(())
}

/// As [`lock`], but a page takes memory only when it is touched: for what is large and perhaps never used.
///
/// # Errors
/// As [`lock`].
#[cfg(target_os = "linux")]
pub(crate) fn lock_on_fault(start: *mut u8, len: usize) -> io::Result<()> {
    // SAFETY: the pages are mapped; locking does not change them.
    unsafe { rustix::mm::mlock_with(start.cast(), len, rustix::mm::MlockFlags::ONFAULT) }?;
    LOCKED.fetch_add(len, Ordering::Relaxed);
    Ok(())
}

/// There is no such lock here.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lock_on_fault(start: *mut u8, len: usize) -> io::Result<()> {
    lock(start, len)
}

/// Notes that locked pages are about to be unmapped.
pub(crate) fn unlocked(len: usize) {
    LOCKED.fetch_sub(len, Ordering::Relaxed);
}
