//! Writing on a thread of its own, so that a slow disk never stops the connection.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::target::Target;
use crate::error::Error;

/// How many chunks wait for the disk.
const WRITE_BEHIND: usize = 8;

/// A target that is written behind. Dropped without [`Writer::commit`], it leaves nothing in a staged file's place.
pub struct Writer {
    steps: mpsc::Sender<Step>,
    thread: JoinHandle<Result<(), Error>>,
}

enum Step {
    Chunk(Bytes),
    Commit,
}

impl Writer {
    /// Takes a target over.
    pub fn new(mut target: Target) -> Self {
        let (steps, mut receiver) = mpsc::channel(WRITE_BEHIND);
        let thread = spawn_blocking(move || {
            while let Some(step) = receiver.blocking_recv() {
                match step {
                    Step::Chunk(bytes) => target.write(&bytes)?,
                    Step::Commit => return target.commit(),
                }
            }
            Ok(())
        });
        Self { steps, thread }
    }

    /// Writes on; waits while the disk is behind.
    ///
    /// Fails with what an earlier write failed with.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        if self.steps.send(Step::Chunk(bytes)).await.is_ok() {
            return Ok(());
        }
        match (&mut self.thread).await {
            Ok(Err(error)) => Err(error),
            _ => Err(Error::Software("the writer ended early".into())),
        }
    }

    /// Completes the output.
    pub async fn commit(self) -> Result<(), Error> {
        let _ended_early = self.steps.send(Step::Commit).await;
        self.thread.await.map_err(|error| Error::Software(error.to_string()))?
    }
}
