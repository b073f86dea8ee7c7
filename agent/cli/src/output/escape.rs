//! Making foreign text harmless for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// A text for a terminal: what would act on it, or reorder what it shows, is written as `\u{…}`; line breaks and
/// tabs stay.
///
/// Error messages, message ids, names and explanations come from platforms and other users, who could otherwise hide
/// or forge lines, or type into the terminal.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unseen) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unseen(c) {
            let _infallible = write!(escaped, "\\u{{{:x}}}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped.into()
}

/// The same for one value within a line: it has no line breaks either.
pub fn escape_line(text: &str) -> String {
    escape(text).replace('\n', "\\u{a}").replace('\t', "\\u{9}")
}

/// The same for JSON text, in JSON's own way: a reader gets the value as it was.
pub fn escape_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) {
            let _infallible = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// C0, DEL and C1 controls, line and paragraph separators, and the marks of bidirectional text (Unicode TR 36 §2.5).
fn is_unseen(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_shown_instead() {
        for (text, shown) in [
            ("\x1b]0;title\x07", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\rb\x7f\x08", "a\\u{d}b\\u{7f}\\u{8}"),
            ("\u{202e}fdp.exe", "\\u{202e}fdp.exe"),
        ] {
            assert_eq!(escape(text), shown);
        }
        assert_eq!(escape_line("one\nlife: two"), "one\\u{a}life: two");
    }

    #[test]
    fn json_reads_back_as_it_was() {
        let value = "\u{9b}31m \u{202e}x\x7f\x1b\n\u{feff}ä";
        let shown = escape_json(&serde_json::json!(value).to_string());
        assert!(!shown.contains(|c| is_unseen(c) || c == '\n'));
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), value);
    }

    #[test]
    fn ordinary_text_stays() {
        for text in ["Befund: unauffällig\n\tדוח رسالة 报告\n", ""] {
            assert_eq!(escape(text), text);
        }
    }
}
