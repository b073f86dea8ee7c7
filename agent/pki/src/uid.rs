//! The globally unique user id.

use std::fmt;
use std::str::FromStr;

/// A globally unique user id: a random (version 4) UUID, RFC 9562 §5.4.
///
/// Text form: 8-4-4-4-12 lower-case hexadecimal digits. In certificates it is the URI `urn:uuid:…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid([u8; 16]);

/// The text or the bytes are not a version 4 UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a user id: a version 4 UUID is 36 characters such as 123e4567-e89b-42d3-a456-426614174000")]
pub struct InvalidUid;

impl Uid {
    /// Takes 16 bytes that carry the version and variant bits of a version 4 UUID.
    ///
    /// # Errors
    /// [`InvalidUid`] when the version is not 4 or the variant is not that of RFC 9562.
    pub fn from_bytes(bytes: [u8; 16]) -> Result<Self, InvalidUid> {
        if bytes[6] >> 4 == 4 && bytes[8] >> 6 == 0b10 { Ok(Self(bytes)) } else { Err(InvalidUid) }
    }

    /// As [`Uid::from_bytes`], for a slice of exactly 16 bytes.
    ///
    /// # Errors
    /// [`InvalidUid`] for another length as well.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidUid> {
        Self::from_bytes(bytes.try_into().map_err(|_| InvalidUid)?)
    }

    /// Makes a user id of 16 random bytes by setting version and variant.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The 16 bytes in network order.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The URI `urn:uuid:…` of certificates (RFC 9562 §4).
    #[must_use]
    pub fn urn(&self) -> String {
        format!("urn:uuid:{self}")
    }

    /// Reads the URI `urn:uuid:…`.
    ///
    /// # Errors
    /// [`InvalidUid`] for anything else.
    pub fn from_urn(urn: &str) -> Result<Self, InvalidUid> {
        urn.strip_prefix("urn:uuid:").ok_or(InvalidUid)?.parse()
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                out.write_str("-")?;
            }
            write!(out, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Uid {
    type Err = InvalidUid;

    fn from_str(text: &str) -> Result<Self, InvalidUid> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(InvalidUid);
        }
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (i, &c) in text.iter().enumerate() {
            if matches!(i, 8 | 13 | 18 | 23) {
                if c != b'-' {
                    return Err(InvalidUid);
                }
                continue;
            }
            let digit = match c {
                b'0'..=b'9' => c - b'0',
                b'a'..=b'f' => c - b'a' + 10,
                _ => return Err(InvalidUid),
            };
            bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
            digits += 1;
        }
        Self::from_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "123e4567-e89b-42d3-a456-426614174000";

    #[test]
    fn text_and_urn_round_trip() {
        let uid: Uid = TEXT.parse().unwrap();
        assert_eq!(uid.to_string(), TEXT);
        assert_eq!(Uid::from_urn(&uid.urn()).unwrap(), uid);
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "123E4567-E89B-42D3-A456-426614174000",
            "123e4567e89b42d3a456426614174000",
            "123e4567-e89b-12d3-a456-426614174000",
            "123e4567-e89b-42d3-c456-426614174000",
            "123e4567-e89b-42d3-a456-42661417400é",
            "123e4567-e89b-42d3-a456+426614174000",
        ] {
            assert_eq!(text.parse::<Uid>(), Err(InvalidUid), "{text}");
        }
    }
}
