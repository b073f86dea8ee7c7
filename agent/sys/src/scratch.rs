//! Memory for derivations that need much of it (Argon2id, scrypt): as well protected as the system allows, and said how.
//!
//! What is in it is as good as the secret it comes from. It is wiped and unmapped when it is dropped, whatever it is.
#![expect(unsafe_code, reason = "memory from the system; each block is one call")]

use std::io;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::slice;

use crate::arena::{PAGE, lock_on_fault, map_pages, unlocked_pages, unmap_pages};

/// The most that is given at once, in bytes.
pub const MAX: usize = 1 << 30;

/// What keeps scratch memory from being written to disk, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It is locked.
    Locked,
    /// The kernel drops pages instead of writing them out (`MAP_DROPPABLE`, Linux 6.11). **A derivation may give a wrong
    /// key then**: what is enrolled with it is derived twice and compared, and "wrong" is said only after a second
    /// derivation elsewhere.
    Droppable,
    /// It is in no dump, and may be swapped out.
    Hidden,
}

impl Protection {
    /// What a scratch of this length would have now; nothing is written to find out.
    ///
    /// # Errors
    /// As [`Scratch::new`].
    pub fn available(len: usize) -> io::Result<Self> {
        let scratch = ManuallyDrop::new(Scratch::new(len)?);
        scratch.release();
        Ok(scratch.protection)
    }
}

/// Bytes to derive in.
pub struct Scratch {
    start: NonNull<u8>,
    size: usize,
    protection: Protection,
}

impl Scratch {
    /// Zeros, of at least this length.
    ///
    /// # Errors
    /// When more than [`MAX`] or nothing is asked for, or the system has no memory.
    pub fn new(len: usize) -> io::Result<Self> {
        Self::sized(len, lock_on_fault)
    }

    fn sized(len: usize, lock: impl FnOnce(*mut u8, usize) -> io::Result<()>) -> io::Result<Self> {
        if len == 0 || len > MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let size = len.next_multiple_of(PAGE);
        let start = map_pages(size).ok_or(io::ErrorKind::OutOfMemory)?;
        if lock(start.as_ptr(), size).is_ok() {
            return Ok(Self { start, size, protection: Protection::Locked });
        }
        match map_droppable(size) {
            Some(droppable) => {
                unmap_pages(start.as_ptr(), size);
                Ok(Self { start: droppable, size, protection: Protection::Droppable })
            }
            None => Ok(Self { start, size, protection: Protection::Hidden }),
        }
    }

    /// What protects it.
    #[must_use]
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Unmaps it; nobody uses it after that.
    fn release(&self) {
        match self.protection {
            Protection::Locked => {
                unlocked_pages(self.size);
                unmap_pages(self.start.as_ptr(), self.size);
            }
            Protection::Droppable => unmap_droppable(self.start, self.size),
            Protection::Hidden => unmap_pages(self.start.as_ptr(), self.size),
        }
    }

    /// The bytes; none of memory that the kernel may drop: it changes under whoever looks, which no reference may.
    pub fn bytes(&mut self) -> Option<&mut [u8]> {
        if self.protection == Protection::Droppable {
            return None;
        }
        // SAFETY: the mapping is that long, readable and writable, begins as zeros, and is this value's alone.
        Some(unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.size) })
    }

    /// Where it begins, and its length: for code that reads and writes by pointers, whatever protects it.
    pub fn pointer(&mut self) -> (NonNull<u8>, usize) {
        (self.start, self.size)
    }

    fn wipe(&mut self) {
        let (start, size) = self.pointer();
        for at in 0..size {
            let byte = start.as_ptr().wrapping_add(at);
            // SAFETY: inside the mapping, which is writable and this value's alone.
            unsafe { byte.write_volatile(0) };
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.wipe();
        self.release();
    }
}

/// Memory that the kernel drops rather than writes out; none where it knows no such thing.
#[cfg(target_os = "linux")]
fn map_droppable(size: usize) -> Option<NonNull<u8>> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at a place of the kernel's choice touches no other.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), size, access, MapFlags::DROPPABLE) }.ok()?;
    NonNull::new(start.cast())
}

#[cfg(not(target_os = "linux"))]
fn map_droppable(_size: usize) -> Option<NonNull<u8>> {
    None
}

fn unmap_droppable(start: NonNull<u8>, size: usize) {
    // SAFETY: the caller has the whole mapping and gives it up.
    let unmapped = unsafe { rustix::mm::munmap(start.as_ptr().cast(), size) };
    debug_assert!(unmapped.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(_: *mut u8, _: usize) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    #[test]
    fn it_is_zeros_to_write_to_and_says_what_it_is() {
        let mut locked = Scratch::sized(100_000, |_, _| Ok(())).unwrap();
        assert_eq!(locked.protection(), Protection::Locked);
        // What was not locked is not to be counted.
        locked.protection = Protection::Hidden;
        let refused = Scratch::sized(100_000, refuses).unwrap();
        assert_ne!(refused.protection(), Protection::Locked);
        let now = Scratch::new(100_000).unwrap().protection();
        assert_eq!(Protection::available(100_000).unwrap(), now);
        for mut scratch in [locked, refused, Scratch::new(100_000).unwrap()] {
            let droppable = scratch.protection() == Protection::Droppable;
            let (start, size) = scratch.pointer();
            assert!(size >= 100_000);
            let last = start.as_ptr().wrapping_add(size - 1);
            // SAFETY: inside the mapping, which nobody else uses.
            assert_eq!(unsafe { last.read_volatile() }, 0);
            // SAFETY: as above.
            unsafe { last.write_volatile(7) };
            assert_eq!(scratch.bytes().is_none(), droppable);
            if let Some(bytes) = scratch.bytes() {
                assert!(bytes[..size - 1].iter().all(|byte| *byte == 0) && bytes[size - 1] == 7);
            }
            scratch.wipe();
            // SAFETY: as above.
            assert_eq!(unsafe { last.read_volatile() }, 0);
        }
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        for len in [0, MAX + 1, usize::MAX] {
            assert!(Scratch::new(len).is_err() && Protection::available(len).is_err());
        }
    }
}
