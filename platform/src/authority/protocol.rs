//! What `serve` and `ca` say to each other: one JSON value per frame of u32be length, with a cap.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::added::AddedEvidence;
use super::evidence::Evidence;
use crate::encoding::Base64;

/// The longest request.
pub const MAX_REQUEST: u32 = 1 << 20;
/// The longest answer: room for a revocation list of about 200,000 certificates.
pub const MAX_RESPONSE: u32 = 16 << 20;

/// What `serve` and the operator's commands may ask of the CA.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Sign the current revocation list anew.
    Crl,
    /// Issue the four certificates of a registration; the same evidence gets the same certificates.
    Issue {
        /// The user.
        uid: String,
        /// What proves the registration.
        evidence: Evidence,
    },
    /// Issue the three certificates of a credential that is added; the same credential and keys get the same certificates.
    IssueAdded {
        /// The user.
        uid: String,
        /// What proves that its account adds it.
        evidence: AddedEvidence,
    },
    /// Revoke every certificate of one working credential and sign the list anew.
    Revoke {
        /// The user.
        uid: String,
        /// The credential, 32 hexadecimal digits.
        credential: String,
        /// When it was revoked, Unix seconds; a time to come counts as now.
        time: i64,
    },
}

/// What the CA answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case", deny_unknown_fields)]
pub enum Response {
    /// A signed revocation list.
    Crl(SignedList),
    /// The certificates by slot name.
    Issued {
        /// Slot name to DER.
        certificates: BTreeMap<String, Base64>,
    },
    /// The request was understood and refused.
    Refused {
        /// Why.
        message: String,
    },
}

/// A signed revocation list with its times in Unix seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedList {
    /// The list in DER.
    pub der: Base64,
    /// When it was made.
    pub this_update: i64,
    /// When it is stale.
    pub next_update: i64,
}

/// Writes one frame.
///
/// # Errors
/// The stream's error, or `InvalidData` for a value longer than `cap`.
pub fn write(stream: &mut impl Write, value: &impl Serialize, cap: u32) -> std::io::Result<()> {
    let body = serde_json::to_vec(value)?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length <= cap).ok_or_else(too_long)?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(&body)?;
    stream.flush()
}

/// Reads one frame; nothing at a clean end of the stream.
///
/// # Errors
/// The stream's error, `UnexpectedEof` inside a frame, or `InvalidData`.
pub fn read<T: DeserializeOwned>(stream: &mut impl Read, cap: u32) -> std::io::Result<Option<T>> {
    let mut length = [0; 4];
    match stream.read(&mut length)? {
        0 => return Ok(None),
        read => stream.read_exact(length.get_mut(read..).unwrap_or_default())?,
    }
    let length = u32::from_be_bytes(length);
    if length > cap {
        return Err(too_long());
    }
    let mut body = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut body)?;
    if body.len() as u64 != u64::from(length) {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(serde_json::from_slice(&body)?))
}

fn too_long() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "a frame above the cap")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip_and_bad_ones_are_errors() {
        let mut bytes = Vec::new();
        write(&mut bytes, &Request::Crl, 64).unwrap();
        write(&mut Vec::new(), &Request::Crl, 8).unwrap_err();
        assert!(matches!(read(&mut bytes.as_slice(), 64), Ok(Some(Request::Crl))));
        assert!(matches!(read::<Request>(&mut [].as_slice(), 64), Ok(None)));
        for bad in [&[0, 0, 0][..], &[0, 0, 0, 9, b'{'], &[0xff; 4], &[0, 0, 0, 2, b'{', b'}']] {
            assert!(read::<Request>(&mut { bad }, MAX_REQUEST).is_err());
        }
    }
}
