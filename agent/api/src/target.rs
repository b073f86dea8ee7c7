//! The target of a request in origin-form (RFC 9112 §3.2.1): a path and perhaps a query, in one normal form.

/// The longest target, in bytes as given.
pub const MAX_TARGET: usize = 8192;

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A byte that may not stand there: a control character, a blank, `\`, `#`, or one that must be percent-encoded.
    #[error("has a character that must be percent-encoded or may not be there at all")]
    Character,
    /// A segment `.` or `..`, however it is spelled.
    #[error("has a segment that leads elsewhere: \".\" or \"..\"")]
    DotSegment,
    /// An empty segment: `//`.
    #[error("has an empty segment: \"//\"")]
    EmptySegment,
    /// `%` without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("has a percent-encoding that is none")]
    Encoding,
    /// An encoded `/`, `\`, `%` or control character, which servers disagree about.
    #[error("has a percent-encoding that servers read differently")]
    Hidden,
    /// It does not begin with a slash: an absolute address, an authority, or nothing.
    #[error("does not begin with a slash: it is a path, and the server is the configuration's")]
    NotAPath,
    /// It is longer than [`MAX_TARGET`].
    #[error("is longer than 8192 bytes")]
    TooLong,
}

/// A target whose path means the same to every server: it is judged and sent in this form.
///
/// Unreserved characters are never percent-encoded, other encodings have upper-case digits, no segment is empty but the
/// last, and none leads upwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    path: usize,
}

impl Target {
    /// Reads a target.
    ///
    /// # Errors
    /// [`TargetError`] for what is no path, or could mean different paths to different servers.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.len() > MAX_TARGET {
            return Err(TargetError::TooLong);
        }
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let rest = path.strip_prefix('/').ok_or(TargetError::NotAPath)?;
        let mut whole = String::with_capacity(text.len() + 16);
        let mut segments = rest.split('/').peekable();
        while let Some(segment) = segments.next() {
            whole.push('/');
            let start = whole.len();
            push_segment(&mut whole, segment)?;
            check_segment(whole.get(start..).unwrap_or_default(), segments.peek().is_none())?;
        }
        let path = whole.len();
        if let Some(query) = query {
            whole.push('?');
            push_query(&mut whole, query)?;
        }
        Ok(Self { text: whole, path })
    }

    /// Path and query, as they are sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.text.get(..self.path).unwrap_or_default()
    }

    /// The path's segments; the last one is empty for a path that ends in a slash.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path().split('/').skip(1)
    }
}

/// A segment that a server could take for another: `a/../b`, and `a/..;x/b`, whose parameters some servers cut off.
fn check_segment(segment: &str, last: bool) -> Result<(), TargetError> {
    let end = [segment.find(';'), segment.find("%3B")].into_iter().flatten().min();
    match segment.get(..end.unwrap_or(segment.len())).unwrap_or_default() {
        "." | ".." => Err(TargetError::DotSegment),
        "" if !(last && segment.is_empty()) => Err(TargetError::EmptySegment),
        _ => Ok(()),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// `pchar` of RFC 3986 without percent-encodings.
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

/// The byte behind a `%`, and what follows it.
fn decode(text: &[u8]) -> Result<(u8, &[u8]), TargetError> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match text {
        [high, low, rest @ ..] => {
            let (high, low) = digit(*high).zip(digit(*low)).ok_or(TargetError::Encoding)?;
            Ok((high << 4 | low, rest))
        }
        _ => Err(TargetError::Encoding),
    }
}

fn push_encoded(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    for nibble in [byte >> 4, byte & 15] {
        out.push(char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')));
    }
}

fn push_segment(out: &mut String, segment: &str) -> Result<(), TargetError> {
    let mut rest = segment.as_bytes();
    // What the segment means; only looked at where something is encoded.
    let mut meaning = Vec::new();
    let encoded = segment.contains('%');
    while let [first, after @ ..] = rest {
        rest = after;
        let byte = if *first == b'%' {
            let (byte, after) = decode(after)?;
            rest = after;
            match byte {
                b'/' | b'\\' | b'%' | 0x7f | 0..0x20 => return Err(TargetError::Hidden),
                byte if is_unreserved(byte) => out.push(char::from(byte)),
                byte => push_encoded(out, byte),
            }
            byte
        } else if is_plain(*first) {
            out.push(char::from(*first));
            *first
        } else {
            return Err(TargetError::Character);
        };
        if encoded {
            meaning.push(byte);
        }
    }
    // An overlong spelling of `.` or `/` is no UTF-8.
    if std::str::from_utf8(&meaning).is_ok() { Ok(()) } else { Err(TargetError::Encoding) }
}

fn push_query(out: &mut String, query: &str) -> Result<(), TargetError> {
    let mut rest = query.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match *first {
            b'%' => {
                let (byte, after) = decode(after)?;
                rest = after;
                if is_unreserved(byte) { out.push(char::from(byte)) } else { push_encoded(out, byte) }
            }
            b'/' | b'?' => out.push(char::from(*first)),
            byte if is_plain(byte) => out.push(char::from(byte)),
            // People write them, and they have no meaning of their own in a query.
            byte @ (b'"' | b'<' | b'>' | b'[' | b'\\' | b']' | b'^' | b'`' | b'{' | b'|' | b'}') => {
                push_encoded(out, byte);
            }
            _ => return Err(TargetError::Character),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> String {
        Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).as_str().to_owned()
    }

    #[test]
    fn there_is_one_spelling() {
        for (text, expected) in [
            ("/", "/"),
            ("/v1/users/", "/v1/users/"),
            ("/v1/%75sers/%7Ea%2e", "/v1/users/~a."),
            ("/a%c3%a4b", "/a%C3%A4b"),
            ("/a:b@c;d=e,f/(g)", "/a:b@c;d=e,f/(g)"),
            (
                "/fhir/Patient?identifier=urn:x|7&n=%c3%a4&m=[1]",
                "/fhir/Patient?identifier=urn:x%7C7&n=%C3%A4&m=%5B1%5D",
            ),
            ("/a?", "/a?"),
            ("/a?b?c/d=../..//", "/a?b?c/d=../..//"),
            ("/a?%0d%0a%2e", "/a?%0D%0A."),
            ("/...", "/..."),
            ("/a%3fb%23", "/a%3Fb%23"),
        ] {
            assert_eq!(normal(text), expected, "{text}");
            assert_eq!(normal(expected), expected, "{text}");
        }
    }

    #[test]
    fn what_could_mean_another_path_is_refused() {
        use TargetError::{Character, DotSegment, EmptySegment, Encoding, Hidden, NotAPath, TooLong};
        for (text, expected) in [
            ("", NotAPath),
            ("*", NotAPath),
            ("v1/users", NotAPath),
            ("https://evil.example/v1", NotAPath),
            ("evil.example:443", NotAPath),
            ("?a", NotAPath),
            ("//evil.example/v1", EmptySegment),
            ("/a//b", EmptySegment),
            ("/a/;x/b", EmptySegment),
            ("/;x", EmptySegment),
            ("/a/../b", DotSegment),
            ("/a/.", DotSegment),
            ("/a/%2e%2E/b", DotSegment),
            ("/a/.%2e", DotSegment),
            ("/a/..;/b", DotSegment),
            ("/a/..%3bx/b", DotSegment),
            ("/a%2fb", Hidden),
            ("/a%5Cb", Hidden),
            ("/a%252e", Hidden),
            ("/a%00", Hidden),
            ("/a%0d%0ahost:x", Hidden),
            ("/a%7f", Hidden),
            ("/a%", Encoding),
            ("/a%2", Encoding),
            ("/a%zz", Encoding),
            ("/a?%4", Encoding),
            ("/a%c0%ae", Encoding),
            ("/a%ff", Encoding),
            ("/a\\b", Character),
            ("/a b", Character),
            ("/a\r\nhost: x", Character),
            ("/a\0", Character),
            ("/a#b", Character),
            ("/a?b#c", Character),
            ("/a?b c", Character),
            ("/a?\r\n", Character),
            ("/ä", Character),
            ("/a?ä", Character),
            ("/a|b", Character),
        ] {
            assert_eq!(Target::parse(text), Err(expected), "{text:?}");
        }
        assert_eq!(Target::parse(&format!("/{}", "a".repeat(MAX_TARGET))), Err(TooLong));
        assert!(Target::parse(&format!("/{}", "a".repeat(MAX_TARGET - 1))).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_taken_is_in_normal_form(text in "(/[a-c.%;2eEfF5cC\\\\?|#ä ]{0,6}){0,4}") {
            if let Ok(target) = Target::parse(&text) {
                let again = Target::parse(target.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&target));
                prop_assert!(target.as_str().parse::<http::Uri>().is_ok());
                prop_assert!(target.segments().all(|segment| segment != ".." && segment != "."));
            }
        }
    }
}
