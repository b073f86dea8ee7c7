//! Looks for secrets in logs: any twelve bytes of one, as text, as bytes are printed, in hexadecimal and in base64.

use std::collections::HashMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::Secret;

/// How many bytes of a secret are enough to tell it.
pub const ENOUGH: usize = 12;
/// How much of a window finds it; the rest is compared then.
const START: usize = 8;
/// How much of a log is shown around a finding on each side, in bytes.
const NEAR: usize = 80;

/// Every window of every form of some secrets, ready to be looked for.
pub struct LogNeedles {
    windows: Vec<Window>,
    /// Which windows begin so.
    starts: HashMap<[u8; START], Vec<usize>>,
}

struct Window {
    text: Vec<u8>,
    secret: String,
    form: &'static str,
}

/// A piece of a secret in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The secret's name.
    pub secret: String,
    /// The form it was found in.
    pub form: &'static str,
    /// What stands around it.
    pub near: String,
}

impl LogNeedles {
    /// Prepares secrets. Panics for one that is shorter than [`ENOUGH`].
    #[must_use]
    pub fn new(secrets: &[Secret]) -> Self {
        let mut needles = Self { windows: Vec::new(), starts: HashMap::new() };
        for secret in secrets {
            assert!(secret.bytes.len() >= ENOUGH, "{} is too short to be looked for", secret.name);
            for bytes in secret.bytes.windows(ENOUGH) {
                for (form, text) in forms(bytes) {
                    let start = *text.first_chunk().expect("a form is no shorter than its bytes");
                    needles.starts.entry(start).or_default().push(needles.windows.len());
                    needles.windows.push(Window { text, secret: secret.name.clone(), form });
                }
            }
        }
        needles
    }

    /// What a log has of the secrets, at most one piece a secret and form.
    #[must_use]
    pub fn search(&self, log: &[u8]) -> Vec<Leak> {
        let mut leaks: Vec<Leak> = Vec::new();
        for (at, start) in log.windows(START).enumerate() {
            let start: &[u8; START] = start.try_into().expect("a window of that size");
            for window in self.starts.get(start).into_iter().flatten().map(|index| &self.windows[*index]) {
                let known = |leak: &Leak| leak.secret == window.secret && leak.form == window.form;
                if log[at..].starts_with(&window.text) && !leaks.iter().any(known) {
                    let end = (at + window.text.len() + NEAR).min(log.len());
                    let near = String::from_utf8_lossy(&log[at.saturating_sub(NEAR)..end]).into_owned();
                    leaks.push(Leak { secret: window.secret.clone(), form: window.form, near });
                }
            }
        }
        leaks
    }
}

/// The forms in which logs show bytes.
fn forms(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let listed = |show: &dyn Fn(&mut String, u8)| {
        let mut text = String::new();
        for (index, byte) in bytes.iter().enumerate() {
            text.push_str(if index == 0 { "" } else { ", " });
            show(&mut text, *byte);
        }
        text.into_bytes()
    };
    let mut forms = vec![
        ("plain", bytes.to_vec()),
        ("escaped", bytes.escape_ascii().to_string().into_bytes()),
        ("hex", hex::encode(bytes).into_bytes()),
        ("HEX", hex::encode_upper(bytes).into_bytes()),
        ("{:?}", listed(&|text, byte| write!(text, "{byte}").unwrap())),
        ("{:x?}", listed(&|text, byte| write!(text, "{byte:x}").unwrap())),
        ("{:02x?}", listed(&|text, byte| write!(text, "{byte:02x}").unwrap())),
        (
            "{:#?}",
            bytes
                .iter()
                .map(|byte| format!("{byte},\n"))
                .collect::<String>()
                .replace('\n', "\n    ")
                .into_bytes(),
        ),
        ("hex with colons", hex::encode(bytes).into_bytes().chunks(2).collect::<Vec<_>>().join(&b':')),
    ];
    for shift in 0..3 {
        // Without the characters at the edges, which depend on what stands beside.
        let padded = [&[0; 2][..shift], bytes].concat();
        let whole = padded.len() / 3 * 4;
        let from = if shift == 0 { 0 } else { 4 };
        for (name, engine) in [("base64", &STANDARD), ("base64url", &URL_SAFE)] {
            forms.push((name, engine.encode(&padded).into_bytes()[from..whole].to_vec()));
        }
    }
    // Text is the same in some of them, and numbers of one digit say nothing.
    let mut known = Vec::new();
    forms.retain(|(_, text)| {
        text.len() >= START && !known.contains(text) && {
            known.push(text.clone());
            true
        }
    });
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Kind;

    fn secret() -> Vec<u8> {
        (0..48u8).map(|index| index.wrapping_mul(167) ^ 0x9d).collect()
    }

    fn log(line: &str) -> Vec<u8> {
        format!("2026-11-25T10:00:00Z TRACE h2::codec: {line} stream=3\n").into_bytes()
    }

    #[test]
    fn a_planted_secret_is_found_in_every_form_and_any_part_of_it() {
        let needles = LogNeedles::new(&[Secret::new("key", Kind::Key, &secret())]);
        for from in 0..=secret().len() - 16 {
            // Base64 shows twelve bytes wherever they stand only where sixteen are there.
            let part = &secret()[from..from + 16];
            let planted = [
                format!("data=b\"{}\"", part.escape_ascii()),
                hex::encode(part),
                hex::encode_upper(part),
                part.iter().map(|byte| format!("{byte:02x}:")).collect(),
                STANDARD.encode(part),
                STANDARD.encode([&b"x"[..], part].concat()),
                STANDARD.encode([&b"xy"[..], part].concat()),
                format!("{part:?}"),
                format!("{part:x?}"),
                format!("{part:02x?}"),
                format!("{part:#?}"),
            ];
            for text in planted {
                assert!(!needles.search(&log(&text)).is_empty(), "from {from}: {text}");
            }
            let found = needles.search(&[&log("x")[..], part, &log("y")].concat());
            assert!(found.iter().any(|leak| leak.form == "plain"), "plain from {from}: {found:?}");
        }
        let url = URL_SAFE.encode(secret());
        assert!(url.contains(['-', '_']), "{url}");
        assert!(needles.search(&log(&url)).iter().any(|leak| leak.form == "base64url"));
    }

    #[test]
    fn text_is_found_and_what_is_no_secret_is_not() {
        let needles =
            LogNeedles::new(&[Secret::new("name", Kind::Text, "Wilhelmine Obermoser-Krätz".as_bytes())]);
        for text in ["Wilhelmine Ob", "\"ermoser-Krätz\"", "Wilhelmine Obermoser-Kr\\xc3\\xa4tz"] {
            assert!(!needles.search(&log(text)).is_empty(), "{text}");
        }
        assert!(needles.search(&log("Wilhelmine Maier, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]")).is_empty());
    }
}
