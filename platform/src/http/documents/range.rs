//! Byte ranges of content (RFC 9110 §14): one, or all; and the other numbers of requests.

/// What a `Range` header asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: there is no header, or one that means nothing here.
    All,
    /// From the first byte up to before the second.
    Part(u64, u64),
    /// A range that lies outside.
    Nothing,
}

/// Reads a `Range` header for content of a length.
///
/// Other units, several ranges and what does not follow the grammar mean everything, as RFC 9110 §14.2 allows: that
/// answer is never wrong.
#[must_use]
pub fn wanted(header: &str, length: u64) -> Wanted {
    parse(header, length).unwrap_or(Wanted::All)
}

fn parse(header: &str, length: u64) -> Option<Wanted> {
    let (unit, set) = header.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
    let (start, end) = match (first, last) {
        ("", suffix) => match number(suffix)? {
            0 => return Some(Wanted::Nothing),
            suffix => (length.saturating_sub(suffix), length),
        },
        (first, "") => (number(first)?, length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(length))
        }
    };
    Some(if start < length { Wanted::Part(start, end) } else { Wanted::Nothing })
}

/// Digits only. A number too large for us is larger than any content.
fn number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Reads a header that is one number in its one spelling.
#[must_use]
pub fn parse_offset(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Reads the query of a deletion: which version is meant.
#[must_use]
pub fn parse_version(query: &str) -> Option<u64> {
    parse_offset(query.strip_prefix("version=")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (header, expected) in [
            ("bytes=0-0", Wanted::Part(0, 1)),
            ("bytes=0-", Wanted::Part(0, 10)),
            ("Bytes=3-5", Wanted::Part(3, 6)),
            ("bytes= 3-5 ", Wanted::Part(3, 6)),
            ("bytes=9-", Wanted::Part(9, 10)),
            ("bytes=9-99999999999999999999999999", Wanted::Part(9, 10)),
            ("bytes=9-18446744073709551615", Wanted::Part(9, 10)),
            ("bytes=-3", Wanted::Part(7, 10)),
            ("bytes=-11", Wanted::Part(0, 10)),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=18446744073709551616-", Wanted::Nothing),
            ("bytes=5-3", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=--1", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("items=0-1", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
        assert_eq!(wanted("bytes=-1", 0), Wanted::Nothing);
    }

    #[test]
    fn offsets_have_one_spelling() {
        assert_eq!(parse_offset("0"), Some(0));
        assert_eq!(parse_offset("18446744073709551615"), Some(u64::MAX));
        for bad in ["", "00", "+1", "-1", " 1", "1 ", "18446744073709551616", "0x1"] {
            assert_eq!(parse_offset(bad), None, "{bad}");
        }
    }
}
