//! Verifying account logs where that hurts nobody: a log of thousands of entries has as many signatures.

use life_pki::account_log::{self, AccountState, Pin, PinError};
use life_pki::{Timestamp, Uid};

use crate::engine::compute;
use crate::error::Result;

/// A byte of a log takes longer than a byte of content: it is signed every few hundred bytes.
const WEIGHT: usize = 16;

/// What came of a log: the account, and the pin that fits it.
pub type Verified = std::result::Result<(AccountState, Pin), PinError>;

/// Verifies a user's log against the pin, if there is one. Gives the log back.
///
/// # Errors
/// INTERNAL when the work could not be done.
pub async fn verify(
    uid: Uid,
    pin: Option<&Pin>,
    log: Vec<Vec<u8>>,
    now: Timestamp,
) -> Result<(Verified, Vec<Vec<u8>>)> {
    let pin = pin.cloned();
    let bytes: usize = log.iter().map(Vec::len).sum();
    compute(bytes.saturating_mul(WEIGHT), move || {
        let verified = match pin {
            Some(pin) => pin.extend(&log, now),
            None => account_log::verify_for(uid, &log, now)
                .map(|account| {
                    let pin = Pin::from_state(&account);
                    (account, pin)
                })
                .map_err(PinError::from),
        };
        (verified, log)
    })
    .await
}
