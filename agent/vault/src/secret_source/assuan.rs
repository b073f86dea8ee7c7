//! Asking a person through pinentry: the Assuan protocol, client side (gnupg.org, "Developing with Assuan", §3).
//!
//! The broker started pinentry and passed its standard input and output. Whatever comes from there is hostile: lines
//! and their number are bounded, and nothing but the secret is taken over.

use std::os::fd::{AsFd, BorrowedFd};

use life_sys::secret::SecretBytes;
use life_sys::stream::Stream;
use life_vault_protocol::request::MAX_SECRET;
use life_vault_protocol::{Prompt, VaultError};
use rustix::io::Errno;
use zeroize::{Zeroize, Zeroizing};

use super::Interest;

/// The longest line of the protocol, without its end (Assuan's LINELENGTH is 1002 with it).
const MAX_LINE: usize = 1000;
/// The most bytes that pinentry may say in all.
const MAX_TOTAL: usize = 32 * 1024;

/// GPG_ERR_TIMEOUT, GPG_ERR_CANCELED, GPG_ERR_NOT_CONFIRMED and GPG_ERR_FULLY_CANCELED of libgpg-error.
const TIMEOUT: u32 = 62;
const CANCELLED: [u32; 3] = [99, 114, 198];

/// A conversation with its descriptors.
pub(crate) struct Asking {
    input: Stream,
    output: Stream,
    talk: Conversation,
}

impl Asking {
    pub(super) fn new(input: Stream, output: Stream, prompt: &Prompt) -> Self {
        Self { input, output, talk: Conversation::new(prompt) }
    }

    pub(super) fn interest(&self) -> (BorrowedFd<'_>, Interest) {
        if self.talk.outgoing().is_empty() {
            (self.output.as_fd(), Interest::Readable)
        } else {
            (self.input.as_fd(), Interest::Writable)
        }
    }

    pub(super) fn step(&mut self) -> Option<Result<SecretBytes, VaultError>> {
        if !self.talk.outgoing().is_empty() {
            return match self.input.write(self.talk.outgoing()) {
                Ok(count) => {
                    self.talk.sent(count);
                    None
                }
                Err(Errno::INTR | Errno::AGAIN) => None,
                Err(_) => Some(Err(VaultError::PromptFailed)),
            };
        }
        let mut buffer = Zeroizing::new([0; 1024]);
        match self.output.read(&mut *buffer) {
            Ok(0) => Some(Err(VaultError::PromptFailed)),
            Ok(count) => self.talk.feed(buffer.get(..count).unwrap_or_default()).transpose(),
            Err(Errno::INTR | Errno::AGAIN) => None,
            Err(_) => Some(Err(VaultError::PromptFailed)),
        }
    }
}

/// What is asked next; each step waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    Timeout,
    Description,
    Label,
    Secret,
}

/// The protocol alone: bytes in, bytes out.
struct Conversation {
    step: Step,
    outgoing: Vec<u8>,
    description: String,
    label: String,
    timeout_seconds: u16,
    line: Zeroizing<Vec<u8>>,
    secret: Zeroizing<Vec<u8>>,
    total: usize,
}

impl Conversation {
    fn new(prompt: &Prompt) -> Self {
        Self {
            step: Step::Greeting,
            outgoing: Vec::new(),
            description: prompt.description.clone(),
            label: prompt.label.clone(),
            timeout_seconds: prompt.timeout_seconds,
            line: Zeroizing::new(Vec::with_capacity(MAX_LINE)),
            secret: Zeroizing::new(Vec::with_capacity(MAX_SECRET)),
            total: 0,
        }
    }

    /// What has to be written before anything is read.
    fn outgoing(&self) -> &[u8] {
        &self.outgoing
    }

    /// So many bytes were written.
    fn sent(&mut self, count: usize) {
        self.outgoing.drain(..count.min(self.outgoing.len()));
    }

    /// Takes what pinentry said; gives the secret at the end.
    fn feed(&mut self, bytes: &[u8]) -> Result<Option<SecretBytes>, VaultError> {
        self.total = self.total.saturating_add(bytes.len());
        if self.total > MAX_TOTAL {
            return Err(VaultError::PromptFailed);
        }
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() >= MAX_LINE {
                    return Err(VaultError::PromptFailed);
                }
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::replace(&mut self.line, Zeroizing::new(Vec::with_capacity(MAX_LINE)));
            if let Some(secret) = self.line(&line)? {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<SecretBytes>, VaultError> {
        let (word, rest) = match line.iter().position(|byte| *byte == b' ') {
            Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default()),
            None => (line, &[][..]),
        };
        match word {
            b"OK" => self.ok(),
            b"ERR" => match self.step {
                // Not every pinentry knows SETTIMEOUT; the vault keeps the time as well.
                Step::Timeout => self.ok(),
                _ => Err(failure(rest)),
            },
            b"D" if self.step == Step::Secret => self.data(rest).map(|()| None),
            // Comments and status lines.
            b"S" => Ok(None),
            _ if line.is_empty() || line.starts_with(b"#") => Ok(None),
            _ => Err(VaultError::PromptFailed),
        }
    }

    /// The last command succeeded: on to the next.
    fn ok(&mut self) -> Result<Option<SecretBytes>, VaultError> {
        let (next, command, argument) = match self.step {
            Step::Greeting => (Step::Timeout, "SETTIMEOUT", self.timeout_seconds.to_string()),
            Step::Timeout => (Step::Description, "SETDESC", escape(&self.description)),
            Step::Description => (Step::Label, "SETPROMPT", escape(&self.label)),
            Step::Label => (Step::Secret, "GETPIN", String::new()),
            Step::Secret => {
                if self.secret.is_empty() {
                    return Err(VaultError::SecretUnusable);
                }
                return Ok(Some(SecretBytes::new(std::mem::take(&mut *self.secret))));
            }
        };
        self.step = next;
        self.outgoing = format!("{command} {argument}\n").into_bytes();
        Ok(None)
    }

    /// Takes a part of the secret, percent-decoded.
    fn data(&mut self, encoded: &[u8]) -> Result<(), VaultError> {
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
            if self.secret.len() >= MAX_SECRET {
                return Err(VaultError::SecretUnusable);
            }
            self.secret.push(byte);
            rest = tail;
        }
        Ok(())
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.outgoing.zeroize();
    }
}

/// What an ERR line means. Its number is a libgpg-error code with the source in the upper bits.
fn failure(rest: &[u8]) -> VaultError {
    let number = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
    let code = std::str::from_utf8(number).ok().and_then(|text| text.parse::<u32>().ok());
    match code.map(|code| code & 0xffff) {
        Some(TIMEOUT) => VaultError::SecretTimeout,
        Some(code) if CANCELLED.contains(&code) => VaultError::PromptCancelled,
        _ => VaultError::PromptFailed,
    }
}

/// Escapes a text for one line of the protocol, and cuts it where the line would be too long.
fn escape(text: &str) -> String {
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

/// Body of the fuzz target: whatever a pinentry says, the vault neither panics nor grows.
pub(crate) fn converse_with_anything(bytes: &[u8]) {
    let prompt =
        Prompt { description: "%\n".to_owned(), label: "Passphrase:".to_owned(), timeout_seconds: 1 };
    let mut talk = Conversation::new(&prompt);
    for chunk in bytes.chunks(7) {
        let said = talk.feed(chunk);
        assert!(talk.secret.len() <= MAX_SECRET && talk.line.len() <= MAX_LINE, "unbounded");
        if !matches!(said, Ok(None)) {
            return;
        }
        let all = talk.outgoing().len();
        assert!(all <= MAX_LINE + 1, "a line is too long");
        talk.sent(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> Prompt {
        Prompt {
            description: "Unlock 100%\nnow".to_owned(),
            label: "Passphrase:".to_owned(),
            timeout_seconds: 30,
        }
    }

    /// Answers each command and collects what was asked.
    fn converse(answers: &[&str]) -> (Vec<String>, Result<Option<SecretBytes>, VaultError>) {
        let mut talk = Conversation::new(&prompt());
        let mut asked = Vec::new();
        for answer in answers {
            let outcome = talk.feed(answer.as_bytes());
            if !matches!(outcome, Ok(None)) {
                return (asked, outcome);
            }
            let out = String::from_utf8(talk.outgoing().to_vec()).unwrap();
            talk.sent(out.len());
            asked.push(out);
        }
        (asked, Ok(None))
    }

    #[test]
    fn a_secret_is_asked_for_and_decoded() {
        let (asked, secret) = converse(&[
            "# comment\nOK Pleased to meet you\n",
            "OK\n",
            "OK\n",
            "OK\n",
            "S PASSWORD_FROM_CACHE\nD 100%25\nD  %C3%A4 b\nOK\n",
        ]);
        assert_eq!(
            asked,
            ["SETTIMEOUT 30\n", "SETDESC Unlock 100%25%0Anow\n", "SETPROMPT Passphrase:\n", "GETPIN \n"]
        );
        assert!(secret.unwrap().unwrap().ct_eq("100% ä b".as_bytes()));
    }

    #[test]
    fn refusals_have_their_reasons() {
        let last = |answer| {
            let outcome =
                converse(&["OK\n", "ERR 536871187 Unknown IPC command\n", "OK\n", "OK\n", answer]).1;
            outcome.map(|secret| secret.map(|secret| secret.len()))
        };
        assert_eq!(last("ERR 83886179 Operation cancelled <Pinentry>\n"), Err(VaultError::PromptCancelled));
        assert_eq!(last("ERR 83886142 Timeout <Pinentry>\n"), Err(VaultError::SecretTimeout));
        assert_eq!(last("ERR 83886194 Not confirmed\n"), Err(VaultError::PromptCancelled));
        assert_eq!(last("ERR 1 whatever\n"), Err(VaultError::PromptFailed));
        assert_eq!(last("OK\n"), Err(VaultError::SecretUnusable));
        assert_eq!(last("D abc%\nOK\n"), Err(VaultError::PromptFailed));
        assert_eq!(last("D abc%zz\nOK\n"), Err(VaultError::PromptFailed));
        assert_eq!(last("INQUIRE QUALITY abc\n"), Err(VaultError::PromptFailed));
        assert_eq!(last("D abc\nOK\n"), Ok(Some(3)));
    }

    #[test]
    fn hostile_output_is_bounded() {
        assert_eq!(converse(&["D early\n"]).1.err(), Some(VaultError::PromptFailed));
        assert_eq!(converse(&["ERR\n"]).1.err(), Some(VaultError::PromptFailed));
        assert_eq!(converse(&[&"x".repeat(1001)]).1.err(), Some(VaultError::PromptFailed));
        let flood = "S x\n".repeat(10_000);
        assert_eq!(converse(&[&flood]).1.err(), Some(VaultError::PromptFailed));
        let long = format!("D {}\n", "x".repeat(900)).repeat(2);
        let outcome = converse(&["OK\n", "OK\n", "OK\n", "OK\n", &long]).1;
        assert_eq!(outcome.err(), Some(VaultError::SecretUnusable));
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let line = escape(&"ä%".repeat(2000));
        assert!(line.len() <= MAX_LINE - 16 && line.len() > 900);
        converse_with_anything(b"OK\nOK\nOK\nOK\nD abc\nOK\n");
    }
}
