//! The clock, which tests can move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use life_pki::Timestamp;

/// Tells the time: the system's, shifted by as many seconds as a test wants.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    shift: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Moves this clock and all its copies by so many seconds against the system's.
    pub fn shift(&self, seconds: i64) {
        self.shift.store(seconds, Ordering::Relaxed);
    }

    /// The time now. A system clock outside the years 1970 to 9999 reads as [`Timestamp::EPOCH`], at which
    /// every certificate is not yet valid.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::EPOCH);
        let shift = self.shift.load(Ordering::Relaxed);
        let seconds = u32::try_from(shift.unsigned_abs()).unwrap_or(u32::MAX);
        if shift < 0 { now.minus(seconds) } else { now.plus(seconds) }
    }
}
