//! What registering an account and adding to it check alike.

use life_envelope::{Envelope, RecipientId};
use life_pki::Timestamp;
use life_pki::account_log::Entry;

use super::level::MAX_SKEW;
use super::problem::{Problem, Reason};

/// The largest root key seal: one recipient and one private key.
const MAX_SEAL: usize = 64 << 10;

/// What was sent does not prove what it should.
pub(super) fn invalid(fault: &dyn std::fmt::Display) -> Problem {
    Problem::new(Reason::EvidenceInvalid, fault.to_string())
}

/// A seal is an envelope for one recipient: the credential's encryption key, which the log names by its hash.
pub(super) fn check_seal(seal: &[u8], encryption: &[u8; 32]) -> Result<(), Problem> {
    if seal.len() > MAX_SEAL {
        return Err(invalid(&"the root key seal has more than 64 KiB"));
    }
    let envelope = Envelope::parse(seal).map_err(|_| invalid(&"the root key seal is no envelope"))?;
    let expected = RecipientId::KeyId(encryption.to_vec());
    match envelope.recipients() {
        [only] if *only.id() == expected => Ok(()),
        _ => Err(invalid(&"the root key seal is not for the credential's encryption key alone")),
    }
}

/// An entry is made between what begins it and its being sent; a clock that says otherwise would mislead everybody later.
pub(super) fn check_time(entry: &Entry, begun: Timestamp, now: Timestamp) -> Result<(), Problem> {
    let skew = u32::try_from(MAX_SKEW).unwrap_or(u32::MAX);
    if (begun.minus(skew)..=now.plus(skew)).contains(&entry.body().time) {
        Ok(())
    } else {
        Err(out_of_time(now))
    }
}

/// The clocks differ.
pub(super) fn out_of_time(now: Timestamp) -> Problem {
    let detail = format!("an entry of the account log is out of time: it is {now} here");
    Problem::new(Reason::ClockSkew, detail)
}
