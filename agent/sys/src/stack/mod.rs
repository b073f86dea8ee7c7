//! The stacks of threads that work with secrets: locked, kept out of dumps, and wiped between one operation and the next.
//!
//! What an operation leaves lies below the frame of whoever called it, and in registers. So the operation is one function
//! that is never inlined, and the loop that calls it calls [`LockedStack::wipe`] when it has returned, before it answers.
#![expect(unsafe_code, reason = "system calls, and assembly to wipe what no language reaches")]

mod registers;

use std::io;
use std::marker::PhantomData;

use crate::arena::{keep_out_of_dumps, lock_pages};

/// The calling thread's own stack, locked.
pub struct LockedStack {
    /// Its lowest address; below it is the guard page.
    lowest: usize,
    size: usize,
    /// It is this thread's and no other's.
    _own: PhantomData<*const ()>,
}

impl LockedStack {
    /// Locks the calling thread's stack, all of it, and keeps it out of dumps; it stays so until the thread ends.
    ///
    /// The thread is one that `std` started: the first thread's stack grows, and is no place for secrets.
    ///
    /// # Errors
    /// What the system says, commonly that RLIMIT_MEMLOCK is too low; the thread must then not touch a secret.
    pub fn of_this_thread() -> io::Result<Self> {
        let (lowest, size) = bounds()?;
        lock_pages(lowest as *mut u8, size)?;
        keep_out_of_dumps(lowest as *mut u8, size)?;
        Ok(Self { lowest, size, _own: PhantomData })
    }

    /// The stack's size, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Writes zeros over all of the stack that is not in use, and over the registers that functions may leave values in,
    /// vector registers included.
    #[inline(never)]
    pub fn wipe(&self) {
        registers::wipe_below(self.lowest);
    }

    /// How much of the stack was used since it was last wiped, in bytes, as far as that left other bytes than zeros.
    #[cfg(test)]
    fn depth(&self) -> usize {
        let words = self.size / size_of::<usize>();
        let words = (0..words).map(|word| (self.lowest as *const usize).wrapping_add(word));
        // SAFETY: the address lies in this thread's stack, all of which is mapped; other frames may change meanwhile, so
        // the read is volatile.
        let unused = words.take_while(|word| unsafe { word.read_volatile() } == 0).count();
        self.size - unused * size_of::<usize>()
    }
}

/// Lowest address and size of the calling thread's stack, without its guard.
#[cfg(target_os = "linux")]
fn bounds() -> io::Result<(usize, usize)> {
    use std::mem::MaybeUninit;
    use std::ptr;

    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: a thread's own handle is always valid.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: both arguments are valid, and the second may be uninitialised.
    let outcome = unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) };
    if outcome != 0 {
        return Err(io::Error::from_raw_os_error(outcome));
    }
    let (mut lowest, mut size) = (ptr::null_mut(), 0);
    // SAFETY: the attributes were initialised by the call above.
    let outcome = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size) };
    // SAFETY: the attributes were initialised and are not used any more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    if outcome != 0 {
        return Err(io::Error::from_raw_os_error(outcome));
    }
    Ok((lowest as usize, size))
}

/// Lowest address and size of the calling thread's stack.
#[cfg(target_os = "macos")]
fn bounds() -> io::Result<(usize, usize)> {
    // SAFETY: a thread's own handle is always valid.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: as above; it gives the highest address.
    let highest = unsafe { libc::pthread_get_stackaddr_np(this) } as usize;
    // SAFETY: as above.
    let size = unsafe { libc::pthread_get_stacksize_np(this) };
    Ok((highest - size, size))
}

#[cfg(test)]
mod tests;
