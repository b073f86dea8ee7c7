//! A body in batches, with a limit on silence and on slowness.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::problem::{Problem, Reason};
use crate::config::{Config, seconds};

/// Pieces are handed to the disk once so many bytes are there.
const BATCH: usize = 1 << 20;
/// And at the latest with so many pieces: each takes memory, however small it is.
const PIECES: usize = 512;
/// Bytes a second a client has to send on average, so that a body does not hold its place for ever.
const SLOWEST: u64 = 16 << 10;

/// A body that is read in batches.
pub struct Pieces {
    body: Body,
    idle: Duration,
    started: Instant,
    grace: Duration,
    received: u64,
    /// Why it broke off, once what came before was handed out.
    broken: Option<Problem>,
}

impl Pieces {
    /// Reads a body with the configured patience.
    #[must_use]
    pub fn new(body: Body, config: &Config) -> Self {
        let idle = seconds(config.timeouts.idle);
        Self { body, idle, started: Instant::now(), grace: idle * 2, received: 0, broken: None }
    }

    /// About a megabyte, or what was left; nothing at the end. A body that breaks off gives what came before, then the
    /// problem.
    ///
    /// # Errors
    /// [`Reason::Timeout`], [`Reason::InvalidArgument`] for a body that broke off.
    pub async fn next(&mut self) -> Result<Option<Vec<Bytes>>, Problem> {
        if let Some(problem) = self.broken.take() {
            return Err(problem);
        }
        let (mut batch, mut size) = (Vec::new(), 0);
        while size < BATCH && batch.len() < PIECES {
            match self.piece().await {
                Ok(Some(piece)) => {
                    size += piece.len();
                    batch.push(piece);
                }
                Ok(None) => break,
                Err(problem) if batch.is_empty() => return Err(problem),
                Err(problem) => {
                    self.broken = Some(problem);
                    break;
                }
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let slowest = self.started + self.grace + Duration::from_secs(self.received / SLOWEST);
            let deadline = slowest.min(Instant::now() + self.idle);
            match timeout_at(deadline, self.body.frame()).await {
                Err(_) => return Err(Problem::new(Reason::Timeout, "send without pauses")),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(Problem::new(Reason::InvalidArgument, "the body broke off")),
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.received += data.len() as u64;
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}
