//! Who is in the middle of a request: a lock is over when nobody that it concerns still has, on its stack or in a register,
//! something of the keys and passphrases that it worked with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The most quick workers.
pub(crate) const MAX_WORKERS: usize = 4;
/// The slow workers.
pub(crate) const SLOW_WORKERS: usize = 2;

/// How often somebody who waits looks before it lets others have the processor for longer.
const LOOKS: u32 = 200;
/// How long it lets them.
const PAUSE: Duration = Duration::from_micros(500);

/// For each worker a count that is odd while it is at work and not yet wiped.
#[derive(Default)]
pub(crate) struct Turns {
    quick: [Turn; MAX_WORKERS],
    slow: [Turn; SLOW_WORKERS],
}

#[derive(Default)]
struct Turn {
    count: AtomicU64,
    /// What the request under way is about: a handle, or its own number.
    about: AtomicU64,
}

/// One worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worker {
    Quick(usize),
    Slow(usize),
}

impl Worker {
    pub(crate) fn all_quick(count: usize) -> impl Iterator<Item = Self> {
        (0..count.min(MAX_WORKERS)).map(Self::Quick)
    }

    pub(crate) fn all_slow() -> impl Iterator<Item = Self> {
        (0..SLOW_WORKERS).map(Self::Slow)
    }
}

impl Turns {
    /// The worker has a request, about this.
    pub(crate) fn begin(&self, worker: Worker, about: u64) {
        if let Some(turn) = self.turn(worker) {
            turn.about.store(about, Ordering::SeqCst);
            turn.step(|count| count | 1);
        }
    }

    /// The worker is wiped, or holds nothing that would have to be.
    pub(crate) fn end(&self, worker: Worker) {
        if let Some(turn) = self.turn(worker) {
            turn.step(|count| (count + 1) & !1);
        }
    }

    /// Waits until every other quick worker that is at work now, on what is meant, has been wiped since. The caller's own
    /// turn counts as ended, so that two never wait for each other.
    pub(crate) fn settle(&self, caller: Worker, meant: impl Fn(u64) -> bool) {
        self.end(caller);
        for turn in &self.quick {
            if let Some(now) = turn.at_work().filter(|_| meant(turn.about.load(Ordering::SeqCst))) {
                wait(None, || turn.is_over(now));
            }
        }
    }

    /// The same for these workers, if they are at work; says whether all were wiped before the time was up.
    pub(crate) fn settle_these(
        &self,
        workers: impl IntoIterator<Item = Worker>,
        until: Option<Instant>,
    ) -> bool {
        let working: Vec<_> = (workers.into_iter())
            .filter_map(|worker| self.turn(worker))
            .filter_map(|turn| turn.at_work().map(|now| (turn, now)))
            .collect();
        working.into_iter().all(|(turn, now)| wait(until, || turn.is_over(now)))
    }

    /// Whether a worker has a request that it is not yet wiped of.
    pub(crate) fn is_at_work(&self, worker: Worker) -> bool {
        self.turn(worker).is_some_and(|turn| turn.at_work().is_some())
    }

    fn turn(&self, worker: Worker) -> Option<&Turn> {
        match worker {
            Worker::Quick(number) => self.quick.get(number),
            Worker::Slow(number) => self.slow.get(number),
        }
    }
}

impl Turn {
    fn step(&self, next: impl Fn(u64) -> u64) {
        // Only the worker itself changes its count.
        self.count.store(next(self.count.load(Ordering::SeqCst)), Ordering::SeqCst);
    }

    /// Its count, while it is at work.
    fn at_work(&self) -> Option<u64> {
        Some(self.count.load(Ordering::SeqCst)).filter(|count| count % 2 == 1)
    }

    fn is_over(&self, count: u64) -> bool {
        self.count.load(Ordering::SeqCst) != count
    }
}

/// Waits for what comes without anybody telling of it, which would cost every request; says whether it came in time.
pub(crate) fn wait(until: Option<Instant>, come: impl Fn() -> bool) -> bool {
    for look in 0u32.. {
        if come() {
            return true;
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
        if look < LOOKS { std::thread::yield_now() } else { std::thread::park_timeout(PAUSE) }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_millis(50);

    #[test]
    fn a_lock_waits_for_who_is_at_work_and_not_for_another_lock() {
        let turns = Turns::default();
        let [first, second, third] = [0, 1, 2].map(Worker::Quick);
        for worker in [first, second, third] {
            turns.begin(worker, 7);
        }
        std::thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            for locking in [second, third] {
                let tell = tell.clone();
                let turns = &turns;
                scope.spawn(move || {
                    turns.settle(locking, |_| true);
                    tell.send(()).unwrap();
                });
            }
            assert!(told.recv_timeout(SOON).is_err());
            turns.end(first);
            // Work that begins later is no concern of theirs.
            turns.begin(first, 7);
            told.recv().unwrap();
            told.recv().unwrap();
        });
    }

    #[test]
    fn a_lock_of_one_user_waits_for_nobody_elses_requests() {
        let turns = Turns::default();
        let [one, two, own] = [0, 1, 2].map(Worker::Quick);
        turns.begin(one, 1);
        turns.begin(two, 2);
        turns.begin(own, 3);
        // It would never return.
        turns.settle(own, |about| about == 5);
        std::thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            let turns = &turns;
            scope.spawn(move || {
                turns.settle(own, |about| about == 1);
                tell.send(()).unwrap();
            });
            assert!(told.recv_timeout(SOON).is_err());
            turns.end(one);
            told.recv().unwrap();
        });
    }

    #[test]
    fn slow_work_is_waited_for_and_not_for_ever() {
        let turns = Turns::default();
        let slow: Vec<_> = Worker::all_slow().collect();
        assert!(turns.settle_these(slow.clone(), None), "nobody is at work");
        turns.begin(slow[0], 1);
        assert!(!turns.settle_these(slow.clone(), Some(Instant::now())));
        assert!(turns.settle_these([slow[1]], None));
        std::thread::scope(|scope| {
            let (turns, slow) = (&turns, &slow);
            let waiting = scope.spawn(move || turns.settle_these(slow.clone(), None));
            turns.end(slow[0]);
            assert!(waiting.join().unwrap());
        });
    }
}
