//! Which quick workers are in the middle of a request: a lock is over when none of them still has, on its stack or in a
//! register, something of the key that it worked with.

use std::sync::atomic::{AtomicU64, Ordering};

/// The most quick workers.
pub(crate) const MAX_WORKERS: usize = 4;

/// For each quick worker a count that is odd while it is at work and not yet wiped.
#[derive(Default)]
pub(crate) struct Turns([AtomicU64; MAX_WORKERS]);

/// One quick worker.
#[derive(Clone, Copy)]
pub(crate) struct Worker(pub(crate) usize);

impl Turns {
    /// The worker has read a request.
    pub(crate) fn begin(&self, worker: Worker) {
        self.step(worker, |count| count | 1);
    }

    /// The worker is wiped, or holds nothing that would have to be.
    pub(crate) fn end(&self, worker: Worker) {
        self.step(worker, |count| (count + 1) & !1);
    }

    /// Waits until every other worker that is at work now has been wiped since. The caller's own turn counts as ended, so
    /// that two never wait for each other.
    pub(crate) fn settle(&self, worker: Worker) {
        self.end(worker);
        for count in &self.0 {
            let now = count.load(Ordering::SeqCst);
            while now % 2 == 1 && count.load(Ordering::SeqCst) == now {
                std::thread::yield_now();
            }
        }
    }

    fn step(&self, Worker(number): Worker, next: impl Fn(u64) -> u64) {
        // Only the worker itself changes its count.
        if let Some(count) = self.0.get(number) {
            count.store(next(count.load(Ordering::SeqCst)), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_lock_waits_for_who_is_at_work_and_not_for_another_lock() {
        let turns = Turns::default();
        let (first, second, third) = (Worker(0), Worker(1), Worker(2));
        turns.begin(first);
        turns.begin(second);
        turns.begin(third);
        std::thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            for locking in [second, third] {
                let tell = tell.clone();
                let turns = &turns;
                scope.spawn(move || {
                    turns.settle(locking);
                    tell.send(()).unwrap();
                });
            }
            assert!(told.recv_timeout(std::time::Duration::from_millis(50)).is_err());
            turns.end(first);
            // Work that begins later is no concern of theirs.
            turns.begin(first);
            told.recv().unwrap();
            told.recv().unwrap();
        });
    }
}
