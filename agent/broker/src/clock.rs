//! The time.

use std::time::SystemTime;

use life_pki::Timestamp;
use prost_types::Timestamp as Wire;

use crate::error::{Error, Result};

/// Now, to the second.
///
/// # Errors
/// INTERNAL when the machine's clock stands outside 1970 to 9999.
pub fn now() -> Result<Timestamp> {
    Timestamp::try_from(SystemTime::now()).map_err(|_| Error::internal("this machine's clock is absurd"))
}

/// As the contract writes it.
pub fn wire(time: Timestamp) -> Wire {
    Wire { seconds: time.unix(), nanos: 0 }
}
