//! How the lines of the protocol are written and read.

use life_sys::secret::SecretBytes;
use life_vault_protocol::VaultError;
use life_vault_protocol::request::MAX_SECRET;
use zeroize::Zeroizing;

/// The longest line of the protocol, without its end (Assuan's LINELENGTH is 1002 with it).
pub(super) const MAX_LINE: usize = 1000;

/// GPG_ERR_TIMEOUT, GPG_ERR_CANCELED, GPG_ERR_NOT_CONFIRMED and GPG_ERR_FULLY_CANCELED of libgpg-error.
const TIMEOUT: u32 = 62;
const CANCELLED: [u32; 3] = [99, 114, 198];

/// A command with its argument, escaped, as one line.
pub(super) fn command(word: &str, argument: &str) -> Vec<u8> {
    let argument = escape(argument);
    let space = if argument.is_empty() { "" } else { " " };
    format!("{word}{space}{argument}\n").into_bytes()
}

/// What an ERR line means. Its number is a libgpg-error code with the source in the upper bits.
pub(super) fn failure(rest: &[u8]) -> VaultError {
    let number = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
    let code = std::str::from_utf8(number).ok().and_then(|text| text.parse::<u32>().ok());
    match code.map(|code| code & 0xffff) {
        Some(TIMEOUT) => VaultError::SecretTimeout,
        Some(code) if CANCELLED.contains(&code) => VaultError::PromptCancelled,
        _ => VaultError::PromptFailed,
    }
}

/// Escapes a text for one line of the protocol, and cuts it where the line would be too long.
pub(super) fn escape(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        let before = line.len();
        match c {
            '%' | '\u{0}'..='\u{1f}' | '\u{7f}' => line.push_str(&format!("%{:02X}", u32::from(c))),
            c => line.push(c),
        }
        // Room for the longest command and its space.
        if line.len() > MAX_LINE - 16 {
            line.truncate(before);
            break;
        }
    }
    line
}

/// What a person typed, as far as it has come. It has its final size from the start, so that it never moves.
pub(super) struct Typed(Zeroizing<Vec<u8>>);

life_sys::secret_types!(Typed);

impl Typed {
    pub(super) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(MAX_SECRET)))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What was typed; the next begins empty.
    pub(super) fn take(&mut self) -> SecretBytes {
        let typed = std::mem::replace(&mut *self.0, Vec::with_capacity(MAX_SECRET));
        SecretBytes::new(typed)
    }

    /// Takes the argument of a D line, percent-decoded.
    pub(super) fn push(&mut self, encoded: &[u8]) -> Result<(), VaultError> {
        let mut rest = encoded;
        while let Some((first, tail)) = rest.split_first() {
            let (byte, tail) = match (first, tail) {
                (b'%', [high, low, tail @ ..]) => {
                    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
                    let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                        return Err(VaultError::PromptFailed);
                    };
                    (high << 4 | low, tail)
                }
                (b'%', _) => return Err(VaultError::PromptFailed),
                (byte, tail) => (*byte, tail),
            };
            if self.0.len() >= MAX_SECRET {
                return Err(VaultError::SecretUnusable);
            }
            self.0.push(byte);
            rest = tail;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let line = escape(&"ä%".repeat(2000));
        assert!(line.len() <= MAX_LINE - 16 && line.len() > 900);
        assert_eq!(command("GETPIN", ""), b"GETPIN\n");
        assert_eq!(command("SETDESC", "a\nb"), b"SETDESC a%0Ab\n");
    }

    #[test]
    fn what_is_typed_is_decoded_and_bounded() {
        let mut typed = Typed::new();
        typed.push(b"100%25 %c3%A4").unwrap();
        assert!(typed.take().ct_eq("100% ä".as_bytes()));
        assert_eq!(typed.len(), 0);
        for bad in [&b"%"[..], b"%1", b"%zz"] {
            assert_eq!(typed.push(bad), Err(VaultError::PromptFailed));
        }
        assert_eq!(Typed::new().push(&[b'x'; 1025]), Err(VaultError::SecretUnusable));
    }
}
