//! Resource names of the contract: `users/{uid}`, `users/{uid}/credentials/{id}`, `cards/{id}`.

use life_pki::Uid;

use crate::error::{Error, Result};

/// The name of a user.
pub fn user(uid: &Uid) -> String {
    format!("users/{uid}")
}

/// The name of a working credential.
pub fn credential(uid: &Uid, id: &[u8; 16]) -> String {
    format!("users/{uid}/credentials/{}", hex::encode(id))
}

/// The name of a card.
pub fn card(id: &[u8]) -> String {
    format!("cards/{}", hex::encode(id))
}

/// Reads the name of a user from a field.
///
/// Fails with INVALID_ARGUMENT, which names the field, for anything else.
pub fn parse_user(field: &'static str, name: &str) -> Result<Uid> {
    name.strip_prefix("users/")
        .and_then(|uid| uid.parse().ok())
        .ok_or_else(|| Error::field(field, "is not of the form users/{uid} with a version 4 UUID"))
}

/// As [`parse_user`], where the field may be empty.
pub fn parse_optional_user(field: &'static str, name: &str) -> Result<Option<Uid>> {
    if name.is_empty() { Ok(None) } else { parse_user(field, name).map(Some) }
}

/// Reads a UUID in text form: 36 lower-case characters, any version.
pub fn parse_uuid(field: &'static str, text: &str) -> Result<[u8; 16]> {
    let fault = || Error::field(field, "is not a UUID in lower-case text form");
    let hyphens = [8, 13, 18, 23];
    let well_formed = text.len() == 36
        && text.bytes().enumerate().all(|(i, c)| match hyphens.contains(&i) {
            true => c == b'-',
            false => matches!(c, b'0'..=b'9' | b'a'..=b'f'),
        });
    if !well_formed {
        return Err(fault());
    }
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let mut id = [0; 16];
    hex::decode_to_slice(digits, &mut id).map_err(|_| fault())?;
    Ok(id)
}

/// Writes 16 bytes as a UUID.
pub fn uuid(id: &[u8; 16]) -> String {
    let digits = hex::encode(id);
    let mut text = String::with_capacity(36);
    for (i, digit) in digits.chars().enumerate() {
        if matches!(i, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_round_trip_and_others_are_refused() {
        let text = "123e4567-e89b-12d3-a456-426614174000";
        assert_eq!(uuid(&parse_uuid("id", text).unwrap()), text);
        for text in ["", "123E4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-4266141740000", "é"]
        {
            assert!(parse_uuid("id", text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_user_is_named_in_one_way() {
        let name = "users/123e4567-e89b-42d3-a456-426614174000";
        assert_eq!(user(&parse_user("user", name).unwrap()), name);
        assert!(parse_user("user", name.strip_prefix("users/").unwrap()).is_err());
        assert!(parse_optional_user("user", "").unwrap().is_none());
    }
}
