//! A call: one attempt, and more where that does no harm.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::RETRY_AFTER;
use life_api::{backoff, is_idempotent, is_retried_status, retry_after};
use tokio::time::Instant;

use super::body::Payload;
use super::connect::Failed;
use super::exchange::{Answer, Manners, once};
use super::gate::Ask;
use super::pool::Pool;
use crate::error::{Error, Result};

/// Attempts at one call.
const ATTEMPTS: u32 = 3;
/// The longest pause that a server may ask for and is granted.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read to its end only to keep the connection.
const DRAINED: u64 = 64 * 1024;
/// How long that may take.
const DRAINING: Duration = Duration::from_secs(1);

/// Sends a request until it is answered, has failed for good, or has been repeated often enough.
///
/// # Errors
/// As the service's method.
pub async fn call(
    pool: &Arc<Pool>,
    ask: &Ask,
    payload: &Payload,
    deadline: Option<Instant>,
) -> Result<Answer> {
    pool.budget().earn();
    let repeatable = is_idempotent(&ask.method) && matches!(payload, Payload::Kept(_));
    let mut manners = Manners::Asking;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let outcome = once(pool, ask, payload, manners).await;
        let pause = match &outcome {
            // It does not know the question; the body is untouched (RFC 9110 §10.1.1).
            Ok(answer)
                if answer.head.status == StatusCode::EXPECTATION_FAILED
                    && manners == Manners::Asking
                    && answer.is_body_untouched() =>
            {
                manners = Manners::Straight;
                continue;
            }
            Ok(answer) if repeatable && is_retried_status(answer.head.status) => {
                asked_pause(answer, attempts)
            }
            Err(Failed { again: true, .. }) if repeatable => Some(pause(attempts)?),
            _ => None,
        };
        let in_time = |pause: &Duration| deadline.is_none_or(|deadline| Instant::now() + *pause < deadline);
        match pause.filter(in_time).filter(|_| attempts < ATTEMPTS) {
            Some(pause) if pool.budget().spend() => {
                tracing::debug!(attempts, ?pause, "a call is repeated");
                if let Ok(answer) = outcome {
                    drain(answer).await;
                }
                tokio::time::sleep(pause).await;
            }
            _ => {
                let mut answer = outcome.map_err(|failed| pool.gate.told(failed.error))?;
                answer.attempts = attempts;
                return Ok(answer);
            }
        }
    }
}

/// The pause a server asks for, or one of our own; none when it asks for too much.
fn asked_pause(answer: &Answer, attempts: u32) -> Option<Duration> {
    let own = pause(attempts).ok()?;
    let asked = answer.head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    match asked.and_then(|value| retry_after(value, SystemTime::now())) {
        // All who were told the same must not come at the same time.
        Some(asked) => Some(asked + own).filter(|_| asked <= PATIENCE),
        None => Some(own),
    }
}

fn pause(attempts: u32) -> Result<Duration> {
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(Error::internal)?;
    Ok(backoff(attempts, u64::from_le_bytes(random)))
}

/// Reads a short answer to its end, so that the connection can be used again: a new one costs a server that is in
/// trouble more than a request does.
async fn drain(mut answer: Answer) {
    if answer.length().is_none_or(|length| length > DRAINED) {
        return;
    }
    let whole = async { while let Ok(Some(_)) = answer.next().await {} };
    if tokio::time::timeout(DRAINING, whole).await.is_ok() {
        answer.finish();
    }
}
