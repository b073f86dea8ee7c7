//! When a call is repeated, and when it is not: a server in trouble must not be asked more often than one that is well.

use std::time::{Duration, SystemTime};

use http::StatusCode;

/// The longest pause before the second attempt.
const BASE: Duration = Duration::from_millis(200);
/// The longest pause at all.
const CAP: Duration = Duration::from_secs(5);

/// What a repetition costs, and what each call brings: a tenth.
const COST: u32 = 10;
/// The most that is saved up: ten repetitions.
const MOST: u32 = 10 * COST;

/// Whether a status says that the same request may succeed later: 429, 502, 503, 504.
pub fn is_retried_status(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// The pause after so many attempts: somewhere between nothing and a limit that doubles each time (full jitter), so that
/// clients that failed together do not come back together.
pub fn backoff(attempts: u32, random: u64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let limit = BASE.saturating_mul(1 << doublings).min(CAP);
    let limit = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(random % (limit + 1))
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110 §10.2.3). A date in the past is no pause.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.len() <= 10 && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// What one user's repetitions may cost: a tenth of the calls, and a few at once. When a server is down, nearly every
/// call is made once and no more.
#[derive(Debug)]
pub struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Budget {
    /// Counts a call.
    pub fn earn(&mut self) {
        self.0 = (self.0 + 1).min(MOST);
    }

    /// Takes one repetition, if there is one left.
    pub fn spend(&mut self) -> bool {
        match self.0.checked_sub(COST) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_use_all_of_it() {
        for (attempts, limit) in [(1, BASE), (2, BASE * 2), (3, BASE * 4), (6, CAP), (u32::MAX, CAP)] {
            let all: Vec<_> =
                (0..1000u64).map(|n| backoff(attempts, n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
            assert!(all.iter().all(|pause| *pause <= limit), "{attempts}");
            assert!(
                all.iter().any(|pause| *pause < limit / 10)
                    && all.iter().any(|pause| *pause > limit / 10 * 9)
            );
        }
        assert_eq!(backoff(0, 0), Duration::ZERO);
        assert!(backoff(1, u64::MAX) <= BASE);
    }

    #[test]
    fn a_budget_ends_a_storm() {
        let mut budget = Budget::default();
        let repeated = (0..1000)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count();
        assert!((100..=110).contains(&repeated), "{repeated}");
        let mut spent = Budget(0);
        assert!(!spent.spend());
        (0..COST).for_each(|_| spent.earn());
        assert!(spent.spend() && !spent.spend());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2026 07:28:00 GMT").unwrap();
        for (value, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("9999999999", Some(9_999_999_999)),
            ("Wed, 21 Oct 2026 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2020 07:28:30 GMT", Some(0)),
            ("99999999999999999999", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
