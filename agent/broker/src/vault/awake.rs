//! Staying awake for an answer that is due at once.
//!
//! A processor that nobody uses is put to sleep, and waking it takes up to a tenth as long as a signature. So where one
//! caller asks for one thing after the other, the thread that waits for the vault's answer looks for it again and again: for
//! a bounded time, and only as long as nobody else wants its processor.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::yield_now;

/// The longest that an answer is looked for: what a signature with RSA-4096 takes, and something over.
const LONGEST: Duration = Duration::from_millis(2);
/// So long after an answer the caller may ask for the next.
const AFTER: Duration = Duration::from_micros(50);
/// Who gets the processor back later than this has given it to somebody with much to do, not to a thread that passes something
/// on.
const SHARED: Duration = Duration::from_micros(300);
/// So long nobody looks again where it was of no use: giving way has its price there, about a turn of those others. The more often
/// that was so, the longer.
const SHORTEST_REST: Duration = Duration::from_millis(10);
const LONGEST_REST: Duration = Duration::from_secs(1);
/// So many requests in a row had the vault for themselves: while there are many callers, gaps between them are chance, and
/// their requests want every processor.
const IN_A_ROW: u32 = 4;

/// Whether it is of use to stay awake.
#[derive(Default)]
pub struct Awake {
    /// How many requests in a row were alone.
    alone: AtomicU32,
    asked: Notify,
}

impl Awake {
    /// A request was sent; with it, so many are under way.
    pub fn asked(&self, under_way: usize) {
        if under_way > 1 {
            self.alone.store(0, Ordering::Relaxed);
        } else if self.alone.fetch_add(1, Ordering::Relaxed) >= IN_A_ROW {
            self.alone.store(IN_A_ROW, Ordering::Relaxed);
            self.asked.notify_one();
        }
    }

    /// Keeps the calling thread awake when it is of use; for ever. `under_way` says how many requests wait for answers.
    pub async fn keep(&self, under_way: impl Fn() -> usize) {
        let mut rest = SHORTEST_REST;
        loop {
            self.asked.notified().await;
            if self.look(&under_way).await {
                rest = (rest / 2).max(SHORTEST_REST);
            } else {
                tokio::time::sleep(rest).await;
                rest = (rest * 4).min(LONGEST_REST);
            }
        }
    }

    /// Looks for the answer to one request, and a little longer for the next request. Says whether that was of use, or could
    /// have been.
    async fn look(&self, under_way: &impl Fn() -> usize) -> bool {
        let (mut asked, mut answered) = (Instant::now(), None);
        loop {
            // Whoever is ready to run goes first.
            let yielded = Instant::now();
            rustix::thread::sched_yield();
            let now = Instant::now();
            if now - yielded > SHARED {
                return false;
            }
            // Whatever else this thread serves as well.
            yield_now().await;
            match (under_way(), answered) {
                (0, None) => answered = Some(now),
                (0, Some(at)) if now - at > AFTER => return true,
                (1, None) if now - asked > LONGEST => return false,
                (1, Some(_)) => (asked, answered) = (now, None),
                (0 | 1, _) => {}
                _ => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether somebody is woken by the last of these.
    fn woken(under_way: &[usize]) -> bool {
        let awake = Awake::default();
        under_way.iter().for_each(|count| awake.asked(*count));
        std::pin::pin!(awake.asked.notified()).enable()
    }

    #[test]
    fn only_a_caller_that_is_alone_for_some_time_is_looked_out_for() {
        assert!(!woken(&[1]));
        assert!(!woken(&[1, 1, 1, 1]));
        assert!(woken(&[1, 1, 1, 1, 1]));
        assert!(!woken(&[1, 1, 1, 1, 2, 1]));
        assert!(woken(&[3, 2, 1, 1, 1, 1, 1]));
    }

    #[tokio::test]
    async fn looking_ends_with_a_second_request_after_an_answer_and_by_itself() {
        let awake = Awake::default();
        for count in [2, 0] {
            awake.look(&|| count).await;
        }
        // Nothing comes of it, so it was of no use.
        assert!(!awake.look(&|| 1).await);
    }
}
