//! Where a platform is, and how the fingerprint of its trust bundle is written.

use std::fmt;

/// `https://host[:port]`, and nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Reads an origin; a single slash at its end is dropped.
    pub fn parse(text: &str) -> Option<Self> {
        let uri: http::Uri = text.strip_suffix('/').unwrap_or(text).parse().ok()?;
        let authority = uri.authority()?;
        let plain = uri.scheme_str() == Some("https")
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
            && !authority.as_str().contains('@')
            && !authority.host().is_empty();
        plain.then(|| Self(format!("https://{authority}").to_ascii_lowercase()))
    }

    /// The address of a path, which begins with a slash.
    pub fn uri(&self, path: &str) -> Option<http::Uri> {
        format!("{}{path}", self.0).parse().ok()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Reads 64 hexadecimal digits; blanks and colons between them do not count.
pub fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ':')).collect();
    let mut fingerprint = [0; 32];
    hex::decode_to_slice(digits, &mut fingerprint).ok()?;
    Some(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_https_origins_are_taken() {
        for (text, expected) in [
            ("https://life.example", Some("https://life.example")),
            ("https://LIFE.example:8443/", Some("https://life.example:8443")),
            ("https://[::1]:8443", Some("https://[::1]:8443")),
            ("http://life.example", None),
            ("https://life.example/v1", None),
            ("https://life.example?x", None),
            ("https://me@life.example", None),
            ("https://", None),
            ("life.example", None),
            ("", None),
        ] {
            assert_eq!(Origin::parse(text).map(|origin| origin.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn fingerprints_have_64_digits() {
        let text = "ab".repeat(32);
        assert_eq!(parse_fingerprint(&text), Some([0xab; 32]));
        assert_eq!(parse_fingerprint(&text.to_uppercase()), Some([0xab; 32]));
        assert_eq!(parse_fingerprint(text.get(2..).unwrap()), None);
    }
}
