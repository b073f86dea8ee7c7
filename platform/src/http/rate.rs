//! Token buckets: by network address for callers who are not known yet, by user for deposits.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Above this many buckets, full ones are forgotten.
const MANY: usize = 10_000;

/// So many tokens refill in a period; as many may be spent at once.
pub struct Buckets<K> {
    capacity: f64,
    per_second: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Buckets that hold `capacity` tokens and refill in `seconds`. A capacity of 0 means no limit.
    #[must_use]
    pub fn new(capacity: u32, seconds: u32) -> Self {
        let capacity = f64::from(capacity);
        Self { capacity, per_second: capacity / f64::from(seconds.max(1)), buckets: Mutex::default() }
    }

    /// Spends a token, or says after how many seconds there will be one.
    ///
    /// # Errors
    /// The number of seconds to wait, at least 1.
    pub fn spend(&self, key: K, now: Instant) -> Result<(), u32> {
        if self.capacity == 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > MANY {
            buckets.retain(|_, bucket| self.level(bucket, now) < self.capacity);
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.capacity, filled: now });
        bucket.tokens = self.level(bucket, now);
        bucket.filled = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            // Between 1 and the period, so it fits.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a small positive number"
            )]
            Err(((1.0 - bucket.tokens) / self.per_second).ceil().max(1.0) as u32)
        }
    }

    fn level(&self, bucket: &Bucket, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        elapsed.mul_add(self.per_second, bucket.tokens).min(self.capacity)
    }
}

/// What stands for an address: who holds one IPv6 address holds its /64.
#[must_use]
pub fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => (v6.to_bits() & (u128::MAX << 64)).to_be_bytes().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_empties_and_refills() {
        let buckets = Buckets::new(2, 10);
        let (now, one): (_, IpAddr) = (Instant::now(), "192.0.2.1".parse().unwrap());
        assert_eq!(buckets.spend(one, now), Ok(()));
        assert_eq!(buckets.spend(one, now), Ok(()));
        assert_eq!(buckets.spend(one, now), Err(5));
        assert_eq!(buckets.spend("192.0.2.2".parse().unwrap(), now), Ok(()));
        assert_eq!(buckets.spend(one, now + Duration::from_secs(5)), Ok(()));
        assert!(buckets.spend(one, now + Duration::from_secs(6)).is_err());
    }

    #[test]
    fn neighbours_in_one_ipv6_network_share_a_bucket() {
        let buckets = Buckets::new(1, 10);
        let now = Instant::now();
        let of = |address: &str| prefix(address.parse().unwrap());
        assert_eq!(buckets.spend(of("2001:db8::1"), now), Ok(()));
        assert!(buckets.spend(of("2001:db8::2"), now).is_err());
        assert_eq!(buckets.spend(of("2001:db8:0:1::2"), now), Ok(()));
    }
}
