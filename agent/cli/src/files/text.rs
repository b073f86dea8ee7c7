//! Telling text from what a terminal cannot show.

/// A text in pieces, which may be cut within a character.
#[derive(Debug, Default)]
pub struct CutText {
    /// The beginning of a character whose end is still to come.
    begun: Vec<u8>,
}

impl CutText {
    /// Whether a terminal can show the next piece: UTF-8 without control characters.
    pub fn take(&mut self, piece: &[u8]) -> bool {
        self.begun.extend_from_slice(piece);
        let whole = match std::str::from_utf8(&self.begun) {
            Ok(text) => text.len(),
            // The end is missing, and may come with the next piece.
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(_) => return false,
        };
        let rest = self.begun.split_off(whole);
        let text = String::from_utf8(std::mem::replace(&mut self.begun, rest)).unwrap_or_default();
        text.chars().all(|c| matches!(c, '\n' | '\r' | '\t') || !c.is_control())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_text(pieces: &[&[u8]]) -> bool {
        let mut text = CutText::default();
        pieces.iter().all(|piece| text.take(piece))
    }

    #[test]
    fn terminals_get_text_only() {
        assert!(is_text(&["Befund: unauffällig\r\n\t".as_bytes()]));
        assert!(!is_text(&[b"\x1b]0;title\x07"]));
        assert!(!is_text(&["\u{9b}31m".as_bytes()]));
        assert!(!is_text(&[b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"]));
    }

    #[test]
    fn a_character_may_be_cut_between_pieces() {
        let text = "ä€𝄞".as_bytes();
        for cut in 0..text.len() {
            assert!(is_text(&[&text[..cut], &text[cut..]]), "{cut}");
        }
        assert!(is_text(&text.chunks(1).collect::<Vec<_>>()));
        assert!(!is_text(&[&text[..1], b"x"]));
        assert!(!is_text(&[&"\u{9b}".as_bytes()[..1], &"\u{9b}".as_bytes()[1..]]));
    }
}
