//! User names as people type them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A user as the agent names it: `users/{uid}`.
///
/// Read from a bare UUID, `users/…` or `urn:uuid:…`, upper or lower case. Whether it is a user id is the agent's
/// judgement; here only its shape is checked, so that a file name in the wrong place is told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName(String);

/// The text does not name a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a user: give a user id such as 123e4567-e89b-42d3-a456-426614174000")]
pub struct InvalidUser;

impl UserName {
    /// The resource name, `users/{uid}`.
    pub fn name(&self) -> String {
        format!("users/{}", self.0)
    }
}

impl FromStr for UserName {
    type Err = InvalidUser;

    fn from_str(text: &str) -> Result<Self, InvalidUser> {
        let uid = text.strip_prefix("users/").or_else(|| text.strip_prefix("urn:uuid:")).unwrap_or(text);
        if is_uuid(uid) { Ok(Self(uid.to_ascii_lowercase())) } else { Err(InvalidUser) }
    }
}

/// An id that is a UUID, and the error for a text that is none.
macro_rules! id {
    ($name:ident $invalid:ident $what:literal $message:literal) => {
        #[doc = concat!("A ", $what, ": a UUID, in lower case.")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        #[doc = concat!("The text does not name a ", $what, ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[error($message)]
        pub struct $invalid;

        impl FromStr for $name {
            type Err = $invalid;

            fn from_str(text: &str) -> Result<Self, $invalid> {
                if is_uuid(text) { Ok(Self(text.to_ascii_lowercase())) } else { Err($invalid) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

id!(MessageId InvalidMessage "message" "not a message: give an id such as life inbox list prints, a UUID");
id!(DocumentId InvalidDocument "document" "not a document: give an id such as life documents list prints, a UUID");

/// Whether a text has the shape of a UUID (RFC 9562 §4).
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

impl fmt::Display for UserName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Serialize for UserName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name())
    }
}

/// The bare user id of a resource name, for people to read.
pub fn bare(name: &str) -> &str {
    name.strip_prefix("users/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "123e4567-e89b-42d3-a456-426614174000";

    #[test]
    fn all_spellings_are_one_user() {
        for text in [UID.to_owned(), format!("users/{UID}"), format!("urn:uuid:{UID}"), UID.to_uppercase()] {
            let user: UserName = text.parse().unwrap();
            assert_eq!((user.to_string(), user.name()), (UID.to_owned(), format!("users/{UID}")));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "report.pdf", "users/", "123e4567e89b42d3a456426614174000", "users/users/1", &UID[1..]]
        {
            assert_eq!(text.parse::<UserName>(), Err(InvalidUser), "{text}");
        }
    }
}
