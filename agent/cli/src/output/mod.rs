//! The only part that prints: reports, warnings and errors, for people or as JSON.

mod escape;
mod progress;
mod report;

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};

pub use escape::escape_line;
use escape::{escape, escape_json};
pub use progress::Progress;
pub use report::{RecipientReport, Report, SignatureVerdict, hex_or_none, time_or_none, word};

use crate::error::Error;

/// Who reads what we print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A script: one JSON object per line.
    Json,
    /// A person.
    Text,
}

/// What standard output carries during a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// Content: reports go to standard error.
    Content,
    /// Nothing but reports.
    Reports,
}

/// The printer.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
}

impl Output {
    /// A printer for one reader.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints what a command found out: on standard output.
    pub fn answer(self, report: &impl Report) -> Result<(), Error> {
        let text = match self.format {
            Format::Json => to_line(&report.json()),
            Format::Text => escape(&report.text()).into_owned(),
        };
        write_all(&mut io::stdout().lock(), &text)
    }

    /// Prints what a command did with content that went elsewhere: as JSON where `stdout` has room for it, for people
    /// on standard error.
    pub fn done(self, report: &impl Report, stdout: Stdout) -> Result<(), Error> {
        match (self.format, stdout) {
            (Format::Json, Stdout::Reports) => self.answer(report),
            (Format::Json, Stdout::Content) => write_all(&mut io::stderr().lock(), &to_line(&report.json())),
            (Format::Text, _) => write_all(&mut io::stderr().lock(), &escape(&report.text())),
        }
    }

    /// Prints text that is an answer as it stands: help, completions, certificates.
    pub fn text(self, text: &str) -> Result<(), Error> {
        write_all(&mut io::stdout().lock(), text)
    }

    /// Warns on standard error; a warning that cannot be printed is lost.
    pub fn warn(self, reason: &str, text: &str) {
        let line = match self.format {
            Format::Json => to_line(&json!({ "warning": { "reason": reason, "message": text } })),
            Format::Text => format!("life: warning: {}\n", escape(text)),
        };
        let _lost = io::stderr().lock().write_all(line.as_bytes());
    }

    /// Tells a person something in passing, on standard error; says nothing to scripts.
    pub fn note(self, text: &str) {
        if self.format == Format::Text {
            let _lost = writeln!(io::stderr().lock(), "life: {}", escape(text));
        }
    }

    /// Says why the command failed, on standard error. A reader that went away is no news.
    pub fn failure(self, error: &Error) {
        if matches!(error, Error::BrokenPipe) {
            return;
        }
        let advice = error.advice();
        let message = match error {
            // What the agent passes on from a platform is one line, whatever it holds.
            Error::Agent(refusal) => escape_line(&refusal.message),
            error => escape(&error.to_string()).into_owned(),
        };
        let line = match self.format {
            Format::Json => to_line(&json!({ "error": {
                "reason": error.reason(),
                "message": error.to_string(),
                "advice": advice,
                "exit_code": error.exit() as u8,
                "metadata": error.metadata(),
            } })),
            Format::Text => match advice {
                Some(advice) => format!("life: {message}\n      {}\n", escape(&advice)),
                None => format!("life: {message}\n"),
            },
        };
        let _lost = io::stderr().lock().write_all(line.as_bytes());
    }

    /// Shows how far long work is, on a terminal and to people only.
    pub fn progress(self, verb: &'static str, total: Option<u64>) -> Progress {
        let seen = self.format == Format::Text && io::stderr().is_terminal();
        Progress::new(verb, total, seen)
    }
}

fn to_line(value: &Value) -> String {
    escape_json(&value.to_string()) + "\n"
}

fn write_all(stream: &mut impl Write, text: &str) -> Result<(), Error> {
    let written = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    written.map_err(|error| Error::write("the standard output", error))
}
