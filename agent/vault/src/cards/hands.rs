//! The threads that touch cards. A card that does not answer keeps a thread for as long as it likes: nobody waits for
//! such a thread longer than a limit, the end of the process included.

use std::collections::{HashSet, VecDeque};
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use crate::process::{Memory, ProcessError};
use crate::thread;

/// One that hangs must not keep other cards from being used.
const HANDS: usize = 2;

/// What a job is about that is about no reader: no reader has this name.
pub(super) const SERVICE: &CStr = c"";

/// Something to do. It gives what tells of it, which comes when the thread's stack is wiped.
type Job = Box<dyn FnOnce() -> Telling + Send>;
type Telling = Box<dyn FnOnce()>;

/// The threads, and what they have to do.
#[derive(Clone)]
pub(super) struct Hands(Arc<Work>);

#[derive(Default)]
struct Work {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// The readers that a job is about which has not ended.
    held: HashSet<CString>,
}

impl Hands {
    /// Starts the threads, for as long as the process lives.
    pub(super) fn start(memory: Memory) -> Result<Self, ProcessError> {
        let hands = Self(Arc::default());
        for _ in 0..HANDS {
            let work = Arc::clone(&hands.0);
            thread::detached("card", memory, move |desk| {
                loop {
                    let job = work.next();
                    // A panic, which no card should cause, leaves its reader held.
                    let done = catch_unwind(AssertUnwindSafe(job));
                    desk.clear();
                    if let Ok(tell) = done {
                        tell();
                    }
                }
            })?;
        }
        Ok(hands)
    }

    /// Has one of them do something about this reader, or about [`SERVICE`]. None when it takes longer than the limit, or when
    /// the last job about the same has not ended: nobody has answered yet, and jobs do not pile up.
    pub(super) fn run<T: Send + 'static>(
        &self,
        reader: &CStr,
        limit: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = mpsc::sync_channel(1);
        let held = reader.to_owned();
        {
            let mut state = self.0.state();
            if !state.held.insert(held.clone()) {
                return None;
            }
            let work = Arc::clone(&self.0);
            state.waiting.push_back(Box::new(move || {
                let done = job();
                Box::new(move || {
                    work.state().held.remove(&held);
                    // Nobody may be waiting any more.
                    let _ = tell.send(done);
                })
            }));
        }
        self.0.arrived.notify_one();
        told.recv_timeout(limit).ok()
    }
}

impl Work {
    fn next(&self) -> Job {
        let mut state = self.state();
        loop {
            match state.waiting.pop_front() {
                Some(job) => return job,
                None => state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
