//! How the C library's allocator treats large blocks.
#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "mallopt has no safe binding")
)]

/// Blocks up to this size come from the heap: the pieces of a stream do, whole messages do not.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FROM_HEAP: i32 = 4 << 20;
/// So much free memory at the end of a heap is kept.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 16 << 20;
/// Heaps: by default there are eight a core, and each keeps what it once held.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: i32 = 2;

/// Has blocks of a stream's size come from the heap and go back to it.
///
/// By default glibc maps each of them anew: the kernel clears every page, and a stream of 1 MiB buffers spends more time
/// there than on encryption. To be called before threads are started. Elsewhere than with glibc it does nothing.
pub fn keep_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallopt only sets parameters of the allocator; it takes any values.
        let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, FROM_HEAP) };
        // SAFETY: as above.
        let _ = unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT) };
    }
    keep_few_heaps();
}

/// Has all threads share a few heaps.
///
/// By default glibc gives each thread its own until there are more than eight, and then opens a file to count the processors:
/// a sandbox that forbids files would end the process there. To be called before threads are started.
pub fn keep_few_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallopt only sets parameters of the allocator; it takes any values.
        let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, HEAPS) };
    }
}
