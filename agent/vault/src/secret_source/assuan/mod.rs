//! Asking a person through pinentry: the Assuan protocol, client side (gnupg.org, "Developing with Assuan", §3).
//!
//! The broker started pinentry and passed its standard input and output. Whatever comes from there is hostile: lines
//! and their number are bounded, and nothing but the secret is taken over.

mod wire;

use std::os::fd::{AsFd, BorrowedFd};

use life_sys::secret::SecretBytes;
use life_sys::stream::Stream;
use life_vault_protocol::request::{MAX_SECRET, MAX_TRIES};
use life_vault_protocol::{Prompt, VaultError};
use rustix::io::Errno;
use zeroize::Zeroizing;

use self::wire::{MAX_LINE, Typed, command, failure};
use super::{Interest, new};

/// The most bytes that pinentry may say in all.
const MAX_TOTAL: usize = 32 * 1024;

/// What the person is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A secret that opens something.
    Known,
    /// A secret to be: it is asked for twice, and judged before it is taken.
    New,
}

/// A conversation with its descriptors.
pub(crate) struct Asking {
    input: Stream,
    output: Stream,
    talk: Conversation,
}

life_sys::secret_types!(Asking);

impl Asking {
    pub(super) fn new(input: Stream, output: Stream, prompt: Prompt, wanted: Wanted) -> Self {
        Self { input, output, talk: Conversation::new(prompt, wanted) }
    }

    pub(super) fn interest(&self) -> (BorrowedFd<'_>, Interest) {
        if self.talk.outgoing().is_empty() {
            (self.output.as_fd(), Interest::Readable)
        } else {
            (self.input.as_fd(), Interest::Writable)
        }
    }

    /// Says what was wrong and asks again; says whether there was a try left.
    pub(super) fn again(&mut self, error: VaultError) -> bool {
        self.talk.refuse(error).is_ok()
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

/// What was said last; each waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Greeting,
    Timeout,
    Description,
    /// What was wrong with the last try.
    Error,
    Label,
    Secret,
    /// The label of a new secret's second time.
    RepeatLabel,
    Repeat,
}

/// The protocol alone: bytes in, bytes out.
struct Conversation {
    step: Step,
    outgoing: Vec<u8>,
    prompt: Prompt,
    wanted: Wanted,
    /// How often the person was asked, this time included.
    tries: u8,
    line: Zeroizing<Vec<u8>>,
    typed: Typed,
    /// A new secret, typed once.
    first: Option<SecretBytes>,
    total: usize,
}

life_sys::secret_types!(Conversation);

impl Conversation {
    fn new(prompt: Prompt, wanted: Wanted) -> Self {
        Self {
            step: Step::Greeting,
            outgoing: Vec::new(),
            prompt,
            wanted,
            tries: 1,
            line: Zeroizing::new(Vec::with_capacity(MAX_LINE)),
            typed: Typed::new(),
            first: None,
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

    fn say(&mut self, step: Step, word: &str, argument: &str) {
        self.step = step;
        self.outgoing = command(word, argument);
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
            // It answers before it was asked.
            b"OK" | b"ERR" if !self.outgoing.is_empty() => Err(VaultError::PromptFailed),
            b"OK" => self.ok(),
            b"ERR" => match self.step {
                // Not every pinentry knows SETTIMEOUT; the vault keeps the time as well.
                Step::Timeout => self.ok(),
                _ => Err(failure(rest)),
            },
            b"D" if matches!(self.step, Step::Secret | Step::Repeat) => self.typed.push(rest).map(|()| None),
            // Comments and status lines.
            b"S" => Ok(None),
            _ if line.is_empty() || line.starts_with(b"#") => Ok(None),
            _ => Err(VaultError::PromptFailed),
        }
    }

    /// The last command succeeded: on to the next.
    fn ok(&mut self) -> Result<Option<SecretBytes>, VaultError> {
        match self.step {
            Step::Greeting => {
                let seconds = self.prompt.timeout_seconds.to_string();
                self.say(Step::Timeout, "SETTIMEOUT", &seconds);
            }
            Step::Timeout => {
                let description = std::mem::take(&mut self.prompt.description);
                self.say(Step::Description, "SETDESC", &description);
            }
            Step::Description | Step::Error => {
                let label = self.prompt.label.clone();
                self.say(Step::Label, "SETPROMPT", &label);
            }
            Step::Label => self.say(Step::Secret, "GETPIN", ""),
            Step::RepeatLabel => self.say(Step::Repeat, "GETPIN", ""),
            Step::Secret => return self.typed_once(),
            Step::Repeat => return self.typed_twice(),
        }
        Ok(None)
    }

    fn typed_once(&mut self) -> Result<Option<SecretBytes>, VaultError> {
        let secret = self.typed.take();
        let judged = match self.wanted {
            Wanted::Known if secret.is_empty() => Err(VaultError::SecretUnusable),
            Wanted::Known => return Ok(Some(secret)),
            Wanted::New => new::check(&secret),
        };
        match judged {
            Ok(()) => {
                self.first = Some(secret);
                self.say(Step::RepeatLabel, "SETPROMPT", "The same again:");
            }
            Err(error) => self.refuse(error)?,
        }
        Ok(None)
    }

    fn typed_twice(&mut self) -> Result<Option<SecretBytes>, VaultError> {
        let second = self.typed.take();
        // EXPOSE: compared in constant time with what was typed before.
        match self.first.take().filter(|first| first.ct_eq(second.expose())) {
            Some(secret) => Ok(Some(secret)),
            None => self.refuse(VaultError::SecretsDiffer).map(|()| None),
        }
    }

    /// Says what was wrong and asks again; gives the error back when there is no try left.
    fn refuse(&mut self, error: VaultError) -> Result<(), VaultError> {
        if self.tries >= MAX_TRIES {
            return Err(error);
        }
        self.tries += 1;
        let what = match error {
            VaultError::SecretTooShort => "Too short: it takes 12 bytes or more",
            VaultError::SecretsDiffer => "The two were not the same",
            VaultError::SecretUnusable => "Nothing that can be used was typed",
            _ => "Wrong passphrase",
        };
        let text = format!("{what}. Try {} of {MAX_TRIES}", self.tries);
        self.say(Step::Error, "SETERROR", &text);
        Ok(())
    }
}

/// Body of the fuzz target: whatever a pinentry says, the vault neither panics nor grows.
pub(crate) fn converse_with_anything(bytes: &[u8]) {
    for wanted in [Wanted::Known, Wanted::New] {
        let prompt =
            Prompt { description: "%\n".to_owned(), label: "Passphrase:".to_owned(), timeout_seconds: 1 };
        let mut talk = Conversation::new(prompt, wanted);
        for chunk in bytes.chunks(1) {
            let said = talk.feed(chunk);
            assert!(talk.typed.len() <= MAX_SECRET && talk.line.len() <= MAX_LINE, "unbounded");
            if !matches!(said, Ok(None)) {
                break;
            }
            let all = talk.outgoing().len();
            assert!(all <= MAX_LINE + 1, "a line is too long");
            talk.sent(all);
        }
    }
}

#[cfg(test)]
mod tests;
