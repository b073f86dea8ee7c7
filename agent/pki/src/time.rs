//! Points in time, to the second, as GeneralizedTime and RFC 3339 text.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use der::asn1::GeneralizedTime;

/// The last second of the year 9999, which both GeneralizedTime and RFC 3339 can say.
const LAST: i64 = 253_402_300_799;

/// How far the clocks of honest machines may differ, in seconds.
pub const MAX_CLOCK_SKEW: u32 = 300;

/// Whole seconds since 1970-01-01T00:00:00Z, without leap seconds; from then to the end of the year 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The number or text is no time between 1970 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time between 1970 and 9999, such as 2026-01-31T12:00:00Z")]
pub struct InvalidTime;

impl Timestamp {
    /// 1970-01-01T00:00:00Z: what a clock that cannot be read stands for, at which nothing is valid yet.
    pub const EPOCH: Self = Self(0);

    /// Takes seconds since 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`InvalidTime`] before 1970 and after 9999.
    pub fn from_unix(seconds: i64) -> Result<Self, InvalidTime> {
        if (0..=LAST).contains(&seconds) { Ok(Self(seconds)) } else { Err(InvalidTime) }
    }

    /// Seconds since 1970-01-01T00:00:00Z; never negative.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0
    }

    /// The same as [`Timestamp::unix`], unsigned.
    #[must_use]
    pub fn unix_u64(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// So many seconds later; stops at the end of the year 9999.
    #[must_use]
    pub fn plus(self, seconds: u32) -> Self {
        Self((self.0 + i64::from(seconds)).min(LAST))
    }

    /// So many seconds earlier; stops at 1970.
    #[must_use]
    pub fn minus(self, seconds: u32) -> Self {
        Self((self.0 - i64::from(seconds)).max(0))
    }

    /// Whether it lies ahead of `now` by more than [`MAX_CLOCK_SKEW`]: no honest clock said so.
    #[must_use]
    pub fn is_in_the_future(self, now: Self) -> bool {
        self > now.plus(MAX_CLOCK_SKEW)
    }

    pub(crate) fn to_asn1(self) -> der::Result<GeneralizedTime> {
        GeneralizedTime::from_unix_duration(Duration::from_secs(self.unix_u64()))
    }

    pub(crate) fn from_duration(since_1970: Duration) -> Result<Self, InvalidTime> {
        Self::from_unix(i64::try_from(since_1970.as_secs()).map_err(|_| InvalidTime)?)
    }
}

impl TryFrom<GeneralizedTime> for Timestamp {
    type Error = InvalidTime;

    fn try_from(time: GeneralizedTime) -> Result<Self, InvalidTime> {
        Self::from_duration(time.to_unix_duration())
    }
}

impl TryFrom<Timestamp> for GeneralizedTime {
    type Error = der::Error;

    fn try_from(time: Timestamp) -> der::Result<Self> {
        time.to_asn1()
    }
}

impl TryFrom<SystemTime> for Timestamp {
    type Error = InvalidTime;

    fn try_from(time: SystemTime) -> Result<Self, InvalidTime> {
        Self::from_duration(time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| InvalidTime)?)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 §5.6 in UTC, without fractions: `2026-01-31T12:00:00Z`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = der::DateTime::from_unix_duration(Duration::from_secs(self.unix_u64()))
            .map_err(|_| fmt::Error)?;
        write!(
            out,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minutes(),
            time.seconds()
        )
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTime;

    /// Reads exactly the form that [`Timestamp`] is displayed in.
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let time: der::DateTime = text.parse().map_err(|_| InvalidTime)?;
        let time = Self::from_duration(time.unix_duration())?;
        if time.to_string() == text { Ok(time) } else { Err(InvalidTime) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_769_860_800, "2026-01-31T12:00:00Z"),
            (LAST, "9999-12-31T23:59:59Z"),
        ] {
            let time = Timestamp::from_unix(seconds).unwrap();
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time));
            assert_eq!(GeneralizedTime::try_from(time).unwrap().try_into(), Ok(time));
        }
    }

    #[test]
    fn out_of_range_is_refused_or_clamped() {
        assert_eq!(Timestamp::from_unix(-1), Err(InvalidTime));
        assert_eq!(Timestamp::from_unix(LAST + 1), Err(InvalidTime));
        for text in [
            "",
            "2026-02-30T00:00:00Z",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00:00+00:00",
            "1969-12-31T23:59:59Z",
            "2026-01-31T12:00:0éZ",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTime), "{text}");
        }
        let last = Timestamp::from_unix(LAST).unwrap();
        assert_eq!(last.plus(1), last);
        assert_eq!(Timestamp::from_unix(5).unwrap().minus(9).unix(), 0);
        assert!(!last.is_in_the_future(last.minus(300)));
        assert!(last.is_in_the_future(last.minus(301)));
    }
}
