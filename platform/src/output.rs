//! What commands write to standard output: one line of text or of JSON.

use std::io::{Write, stdout};

use crate::error::{Error, io};

/// Writes one line to standard output and flushes it.
///
/// # Errors
/// [`Error::Io`] when nobody reads any more.
pub fn line(text: &str) -> Result<(), Error> {
    let mut out = stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(io("cannot write to standard output"))
}

/// Writes one line to standard error.
///
/// # Errors
/// [`Error::Io`] when nobody reads any more.
pub fn complaint(text: &str) -> Result<(), Error> {
    writeln!(std::io::stderr().lock(), "{text}").map_err(io("cannot write to standard error"))
}
