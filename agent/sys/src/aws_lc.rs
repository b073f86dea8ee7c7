//! AWS-LC's heap, served from the arena.
//!
//! AWS-LC keeps bignums, expanded keys and the state of its random number generators on a heap of its own; its functions
//! for that are replaced before it allocates for the first time (`CRYPTO_set_mem_functions`, `openssl/mem.h`). It gives
//! no sizes back, and leaves the wiping to whoever replaces it: the arena knows each block's size and wipes all of it.
#![expect(unsafe_code, reason = "AWS-LC is C, and so are the functions it calls")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use crate::arena;

/// What malloc(3) promises on every system we know.
const ALIGN: usize = 16;

/// AWS-LC has other memory functions already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("AWS-LC takes its memory elsewhere already")]
pub struct AlreadySet;

/// Has AWS-LC allocate from the arena. To be called once, before anything else of AWS-LC is.
///
/// # Errors
/// [`AlreadySet`] when that was done before.
pub fn use_arena() -> Result<(), AlreadySet> {
    // SAFETY: the three functions keep to what malloc, realloc and free promise.
    let set = unsafe { aws_lc_sys::CRYPTO_set_mem_functions(Some(allocate), Some(reallocate), Some(free)) };
    if set == 1 { Ok(()) } else { Err(AlreadySet) }
}

unsafe extern "C" fn allocate(size: usize, _file: *const c_char, _line: c_int) -> *mut c_void {
    arena::take(size, ALIGN).cast()
}

unsafe extern "C" fn reallocate(
    block: *mut c_void,
    size: usize,
    _file: *const c_char,
    _line: c_int,
) -> *mut c_void {
    if block.is_null() {
        return arena::take(size, ALIGN).cast();
    }
    if size == 0 {
        // SAFETY: AWS-LC gives up a block that it got from here.
        unsafe { arena::give_back(block.cast()) };
        return ptr::null_mut();
    }
    // SAFETY: AWS-LC gives up a block that it got from here.
    unsafe { arena::resize(block.cast(), size, ALIGN) }.cast()
}

unsafe extern "C" fn free(block: *mut c_void, _file: *const c_char, _line: c_int) {
    if !block.is_null() {
        // SAFETY: AWS-LC gives up a block that it got from here.
        unsafe { arena::give_back(block.cast()) }
    }
}
