//! A lock for what an allocator keeps: one that allocates nothing itself, on no system.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// How often a waiting thread looks before it lets another one run.
const LOOKS: usize = 100;

/// A value that one thread at a time may use, for some hundred nanoseconds.
pub(super) struct Spin<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through a guard, of which there is one at a time.
unsafe impl<T: Send> Sync for Spin<T> {}

impl<T> Spin<T> {
    pub(super) const fn new(value: T) -> Self {
        Self { locked: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Waits until no other thread has the value.
    pub(super) fn lock(&self) -> Guard<'_, T> {
        while self.locked.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            for _ in 0..LOOKS {
                if !self.locked.load(Ordering::Relaxed) {
                    break;
                }
                std::hint::spin_loop();
            }
            if self.locked.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        }
        Guard { spin: self }
    }
}

/// The value, while it is locked.
pub(super) struct Guard<'a, T> {
    spin: &'a Spin<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard is the only one.
        unsafe { &*self.spin.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard is the only one.
        unsafe { &mut *self.spin.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.spin.locked.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time() {
        let turns = if cfg!(miri) { 50 } else { 20_000 };
        let value = Spin::new((0u64, 0u64));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..turns {
                        let mut both = value.lock();
                        both.0 += 1;
                        both.1 += 1;
                        assert_eq!(both.0, both.1);
                    }
                });
            }
        });
        assert_eq!(*value.lock(), (4 * turns, 4 * turns));
    }
}
