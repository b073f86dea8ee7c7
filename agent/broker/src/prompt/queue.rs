//! One person, one prompt at a time; the others wait their turn, and a lock ends them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use life_pki::Uid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Fault, Result};

/// Prompts that wait while one is open.
const WAITING: usize = 8;

/// The prompts of the agent.
pub struct Prompts {
    turn: Arc<Semaphore>,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    next: u64,
    all: HashMap<u64, Entry>,
}

struct Entry {
    /// The user it is to unlock, where that is known.
    uid: Option<Uid>,
    given_up: CancellationToken,
}

impl Default for Prompts {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), entries: Mutex::default() }
    }
}

impl Prompts {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a prompt.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED when very many wait.
    pub fn queue(self: &Arc<Self>, uid: Option<Uid>) -> Result<Queued> {
        let mut entries = self.entries();
        if entries.all.len() > WAITING {
            return Err(Fault::ResourceExhausted.because("many prompts wait for their turn"));
        }
        let (id, given_up) = (entries.next, CancellationToken::new());
        entries.next += 1;
        entries.all.insert(id, Entry { uid, given_up: given_up.clone() });
        Ok(Queued { prompts: self.clone(), id, given_up, turn: None })
    }

    /// Ends the prompts of a user, open or not, or all.
    pub fn void(&self, uid: Option<Uid>) {
        let entries = self.entries();
        let meant = |entry: &&Entry| uid.is_none() || entry.uid == uid;
        entries.all.values().filter(meant).for_each(|entry| entry.given_up.cancel());
    }
}

/// A prompt's place; free for the next when dropped.
pub struct Queued {
    prompts: Arc<Prompts>,
    id: u64,
    given_up: CancellationToken,
    turn: Option<OwnedSemaphorePermit>,
}

impl Queued {
    /// Waits until it may be shown.
    ///
    /// # Errors
    /// PROMPT_CANCELLED when its user is locked meanwhile.
    pub async fn turn(&mut self) -> Result<()> {
        let turn = self.prompts.turn.clone();
        let turn = async { turn.acquire_owned().await.map_err(Error::internal) };
        self.turn = Some(self.run(turn).await?);
        Ok(())
    }

    /// Does what the prompt is for.
    ///
    /// # Errors
    /// PROMPT_CANCELLED as soon as its user is locked; else what the work gives.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.given_up.cancelled() => {
                Err(Fault::PromptCancelled.because("the user, or everybody, was locked meanwhile"))
            }
            done = work => done,
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.prompts.entries().all.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_so_many_in_all() {
        let prompts = Arc::new(Prompts::default());
        let mut all: Vec<_> = (0..=WAITING).map(|_| prompts.queue(None).unwrap()).collect();
        assert_eq!(prompts.queue(None).err().unwrap().fault(), Fault::ResourceExhausted);
        all[0].turn().await.unwrap();
        let mut second = all.remove(1);
        let waiting = tokio::spawn(async move { second.turn().await.map(|()| second) });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(all.remove(0));
        waiting.await.unwrap().unwrap();
        prompts.queue(None).unwrap();
    }

    #[tokio::test]
    async fn a_lock_ends_what_waits_and_what_is_open() {
        let prompts = Arc::new(Prompts::default());
        let [one, two] = [1, 2].map(|n| Some(Uid::from_random([n; 16])));
        let mut open = prompts.queue(one).unwrap();
        open.turn().await.unwrap();
        let mut waiting = prompts.queue(two).unwrap();
        prompts.void(one);
        let ended = open.run(std::future::pending::<Result<()>>()).await;
        assert_eq!(ended.err().unwrap().fault(), Fault::PromptCancelled);
        prompts.void(None);
        assert_eq!(waiting.turn().await.err().unwrap().fault(), Fault::PromptCancelled);
        drop((open, waiting));
        prompts.queue(two).unwrap().turn().await.unwrap();
    }
}
