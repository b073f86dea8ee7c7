//! How long the agent goes on when the platform does not answer: with pauses that grow, and an end.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Fault, Result};

/// The first pause.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// Patience with a platform that does not answer; progress renews it.
pub struct Patience {
    limit: Duration,
    since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// Patience for so long without progress.
    pub fn new(limit: Duration) -> Self {
        Self { limit, since: None, pause: FIRST }
    }

    /// Something went on.
    pub fn progress(&mut self) {
        self.since = None;
        self.pause = FIRST;
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The fault itself when another attempt would change nothing, or when the patience is at its end.
    pub async fn wait(&mut self, error: Error) -> Result<()> {
        let full = error.metadata("platform_status") == Some("507");
        if error.fault() != Fault::PlatformUnavailable || full {
            return Err(error);
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() + self.pause > self.limit {
            return Err(error);
        }
        // Agents that lost the same platform do not come back all at once.
        let mut random = [0];
        aws_lc_rs::rand::fill(&mut random).map_err(Error::internal)?;
        tokio::time::sleep(self.pause / 2 + self.pause * u32::from(random[0]) / 512).await;
        self.pause = (self.pause * 2).min(LONGEST);
        Ok(())
    }

    /// Does something until it works.
    ///
    /// # Errors
    /// What it gives in the end.
    pub async fn persist<T, F>(mut self, attempt: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            match attempt().await {
                Ok(done) => return Ok(done),
                Err(error) => self.wait(error).await?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn gone() -> Error {
        Fault::PlatformUnavailable.into()
    }

    #[tokio::test]
    async fn it_ends_and_progress_renews_it() {
        let mut patience = Patience::new(FIRST * 5);
        let began = Instant::now();
        let mut attempts = 0;
        while patience.wait(gone()).await.is_ok() {
            attempts += 1;
        }
        assert!(attempts > 0 && began.elapsed() >= FIRST);
        patience.progress();
        assert!(patience.wait(gone()).await.is_ok());
    }

    #[tokio::test]
    async fn only_what_may_pass_is_waited_for() {
        let mut patience = Patience::new(Duration::from_secs(30));
        for error in [Fault::VersionConflict.into(), gone().with("platform_status", "507")] {
            assert!(patience.wait(error).await.is_err());
        }
        let attempts = AtomicU32::new(0);
        let done = patience.persist(|| async {
            if attempts.fetch_add(1, Ordering::Relaxed) < 2 { Err(gone()) } else { Ok(5) }
        });
        assert_eq!(done.await.unwrap(), 5);
    }
}
