//! How a log names credentials and entries.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// The id of a working credential: 16 random bytes, shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialId(pub [u8; 16]);

impl CredentialId {
    /// Takes a slice of exactly 16 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Reads 32 lower-case hexadecimal digits, the form in which it is displayed.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 || !digits.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "CredentialId({self})")
    }
}

/// SHA-256 of a whole entry in DER. That of the genesis names the account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryHash(pub [u8; 32]);

impl EntryHash {
    /// What a genesis gives as the hash of the entry before it.
    pub const ZERO: Self = Self([0; 32]);

    /// Hashes a DER entry.
    #[must_use]
    pub fn of(entry_der: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, entry_der).as_ref());
        Self(hash)
    }

    /// Takes a slice of exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for EntryHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for EntryHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "EntryHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        let id = CredentialId([0xab; 16]);
        assert_eq!(id.to_string(), "ab".repeat(16));
        assert_eq!(CredentialId::from_hex(&id.to_string()), Some(id));
        let zero = CredentialId([0; 16]);
        assert_eq!(CredentialId::from_hex(&zero.to_string()), Some(zero));
        for text in ["", "ab", &"AB".repeat(16), &format!("+{}", "a".repeat(31)), &"ab".repeat(17)] {
            assert_eq!(CredentialId::from_hex(text), None, "{text}");
        }
    }
}
