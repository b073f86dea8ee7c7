//! Whether bytes have the structure of an envelope or a sealed stream; nothing else is ever stored.
//!
//! The platform cannot know what is inside. It can know that there is an envelope with recipients around it, that a
//! stream consists of segments of the right lengths, and that it ends in a trailer (FORMATS §3, §5).

use std::os::unix::fs::FileExt;

use life_envelope::Envelope;
use life_envelope::limits::MAX_ENVELOPE;
use life_envelope::stream::{
    CIPHERTEXT_SEGMENT, MAGIC, MAX_TRAILER, StreamHeader, TAG, TINK_HEADER, header_length,
};

/// The DER and BER tag every CMS message begins with.
const SEQUENCE: u8 = 0x30;
/// Tink's header begins with its own length.
const TINK_HEADER_BYTE: u8 = 40;
/// The bytes that say how long the header is.
const STREAM_PREFIX: u64 = 13;
/// The longest beginning of a document's stream: envelope with recipients and sharing statements, and Tink's header.
pub const MAX_START: u64 = 1 << 20;
/// What follows the trailer: its length as u32be.
const TRAILER_LENGTH: u64 = 4;

/// Why bytes are not stored.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// There are none.
    #[error("there is no content")]
    Empty,
    /// The envelope does not parse or is of a refused form.
    #[error("the envelope is refused: {0}")]
    Envelope(life_envelope::Error),
    /// The file could not be read back.
    #[error("cannot read the content back: {0}")]
    Io(#[from] std::io::Error),
    /// Neither an envelope nor a sealed stream.
    #[error("neither an envelope nor a sealed stream")]
    Neither,
    /// An envelope where only a sealed stream has its place.
    #[error("not a sealed stream")]
    NoStream,
    /// The stream ends where no segment can end.
    #[error("the sealed stream is truncated")]
    Truncated,
    /// What stands at the end is no trailer.
    #[error("the sealed stream does not end in a trailer")]
    Trailer,
}

/// What the beginning says the whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Envelope,
    Stream { header: usize },
}

/// Looks at bytes as they arrive and refuses as early as it can.
#[derive(Debug, Default)]
pub struct Screen {
    start: Vec<u8>,
    kind: Option<Kind>,
    passed: bool,
    length: u64,
}

impl Screen {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`ShapeError`] as soon as the beginning cannot become an envelope or a sealed stream any more.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ShapeError> {
        self.length = self.length.saturating_add(bytes.len() as u64);
        if !self.passed {
            self.look(bytes)?;
        }
        match self.kind {
            Some(Kind::Envelope) if self.length > MAX_ENVELOPE as u64 => {
                Err(ShapeError::Envelope(life_envelope::Error::TooLarge))
            }
            _ => Ok(()),
        }
    }

    fn look(&mut self, bytes: &[u8]) -> Result<(), ShapeError> {
        self.start.extend_from_slice(bytes);
        if self.kind.is_none() {
            self.kind = begins(&self.start)?;
        }
        match self.kind {
            None => Ok(()),
            Some(Kind::Envelope) => {
                self.pass();
                Ok(())
            }
            Some(Kind::Stream { header }) => {
                let (Some(head), Some(first)) = (self.start.get(..header), self.start.get(header)) else {
                    return Ok(());
                };
                stream_head(head, *first)?;
                self.pass();
                Ok(())
            }
        }
    }

    fn pass(&mut self) {
        self.passed = true;
        self.start = Vec::new();
    }

    /// Checks the whole, once everything was pushed and written to a file.
    ///
    /// # Errors
    /// [`ShapeError`].
    pub fn finish(self, file: &impl FileExt) -> Result<(), ShapeError> {
        match self.kind {
            _ if self.length == 0 => Err(ShapeError::Empty),
            None => Err(ShapeError::Neither),
            Some(Kind::Envelope) => {
                let bytes = read(file, 0, self.length)?;
                Envelope::parse(&bytes).map(|_| ()).map_err(ShapeError::Envelope)
            }
            Some(Kind::Stream { .. }) if !self.passed => Err(ShapeError::Truncated),
            Some(Kind::Stream { header }) => stream_end(file, header as u64, self.length),
        }
    }
}

/// What the first bytes announce; nothing while there are too few of them.
fn begins(start: &[u8]) -> Result<Option<Kind>, ShapeError> {
    match start {
        [] => Ok(None),
        [SEQUENCE, ..] => Ok(Some(Kind::Envelope)),
        _ if start.len() < MAGIC.len() && MAGIC.starts_with(start) => Ok(None),
        _ if !start.starts_with(MAGIC) => Err(ShapeError::Neither),
        _ => match header_length(start).map_err(ShapeError::Envelope)? {
            Some(header) => Ok(Some(Kind::Stream { header })),
            None => Ok(None),
        },
    }
}

/// Checks the header of a stream (prefix and envelope) and the byte after it.
fn stream_head(head: &[u8], first: u8) -> Result<(), ShapeError> {
    StreamHeader::parse(head).map_err(ShapeError::Envelope)?;
    if first == TINK_HEADER_BYTE { Ok(()) } else { Err(ShapeError::Neither) }
}

/// How long the beginning of a sealed stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStart {
    /// Prefix and envelope.
    pub header: u64,
}

impl StreamStart {
    /// The length with Tink's header.
    #[must_use]
    pub fn length(self) -> u64 {
        self.header + TINK_HEADER as u64
    }

    /// Reads the beginning, up to and with Tink's header.
    ///
    /// # Errors
    /// [`ShapeError::Io`].
    pub fn read(self, file: &impl FileExt) -> Result<Vec<u8>, ShapeError> {
        read(file, 0, self.length())
    }
}

/// Checks the beginning of a document's stream, of which `length` bytes are in a file; nothing while it is not whole.
///
/// # Errors
/// [`ShapeError`] as soon as it cannot become a sealed stream any more, or has too long a beginning.
pub fn stream_start(file: &impl FileExt, length: u64) -> Result<Option<StreamStart>, ShapeError> {
    let header = match begins(&read(file, 0, length.min(STREAM_PREFIX))?)? {
        None => return Ok(None),
        Some(Kind::Envelope) => return Err(ShapeError::NoStream),
        Some(Kind::Stream { header }) => header as u64,
    };
    let start = StreamStart { header };
    if start.length() > MAX_START {
        return Err(ShapeError::Envelope(life_envelope::Error::TooLarge));
    }
    if length < start.length() {
        return Ok(None);
    }
    parse_start(&start.read(file)?)?;
    Ok(Some(start))
}

/// Checks a whole beginning: prefix, envelope and Tink's header, and nothing more.
///
/// # Errors
/// [`ShapeError`].
pub fn parse_start(bytes: &[u8]) -> Result<StreamHeader<'_>, ShapeError> {
    if bytes.len() as u64 > MAX_START {
        return Err(ShapeError::Envelope(life_envelope::Error::TooLarge));
    }
    let (head, tink) = bytes.split_last_chunk::<TINK_HEADER>().ok_or(ShapeError::Truncated)?;
    let header = StreamHeader::parse(head).map_err(ShapeError::Envelope)?;
    if tink.first() == Some(&TINK_HEADER_BYTE) { Ok(header) } else { Err(ShapeError::Neither) }
}

/// Checks the lengths of segments and trailer; what is in them is sealed.
///
/// # Errors
/// [`ShapeError`].
pub fn stream_end(file: &impl FileExt, header: u64, length: u64) -> Result<(), ShapeError> {
    let trailer_end = length.checked_sub(TRAILER_LENGTH).ok_or(ShapeError::Truncated)?;
    let announced: [u8; 4] =
        read(file, trailer_end, TRAILER_LENGTH)?.try_into().map_err(|_| ShapeError::Trailer)?;
    let trailer = u64::from(u32::from_be_bytes(announced));
    if !(TAG as u64..=MAX_TRAILER as u64).contains(&trailer) {
        return Err(ShapeError::Trailer);
    }
    let body = trailer_end.checked_sub(trailer).and_then(|end| end.checked_sub(header));
    if !body.is_some_and(segments_fit) {
        return Err(ShapeError::Truncated);
    }
    Ok(())
}

/// Whether Tink's header and whole segments can be so long together: a segment holds at least one byte, unless the
/// stream is empty.
fn segments_fit(body: u64) -> bool {
    const EMPTY: u64 = (TINK_HEADER + TAG) as u64;
    let last = body % CIPHERTEXT_SEGMENT as u64;
    if body < CIPHERTEXT_SEGMENT as u64 { body >= EMPTY } else { last == 0 || last > TAG as u64 }
}

fn read(file: &impl FileExt, offset: u64, length: u64) -> Result<Vec<u8>, ShapeError> {
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| ShapeError::Truncated)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_segments() {
        const MIB: u64 = 1 << 20;
        for (body, fits) in [
            (0, false),
            (55, false),
            (56, true),
            (57, true),
            (MIB, true),
            (MIB + 1, false),
            (MIB + 16, false),
            (MIB + 17, true),
            (2 * MIB, true),
            (2 * MIB + 16, false),
        ] {
            assert_eq!(segments_fit(body), fits, "{body}");
        }
    }

    #[test]
    fn plaintext_is_refused_by_its_first_bytes() {
        for text in [&b"%PDF-1.7"[..], b"{\"resourceType\":", b"LIFESTR!", b"\0", b"LIFESTRM\xff\0\0\0\0"] {
            assert!(Screen::default().push(text).is_err(), "{text:?}");
        }
        // Byte by byte as well.
        let mut screen = Screen::default();
        let refused = b"LIFEBOAT".iter().position(|byte| screen.push(&[*byte]).is_err());
        assert_eq!(refused, Some(4));
    }

    #[test]
    fn what_only_begins_well_is_refused_at_the_end() {
        let file = tempfile::tempfile().unwrap();
        for text in [&b""[..], b"0 is not a sequence", b"LIFE", &[0x30, 0x80, 0, 0]] {
            file.set_len(0).unwrap();
            file.write_all_at(text, 0).unwrap();
            let mut screen = Screen::default();
            screen.push(text).unwrap();
            assert!(screen.finish(&file).is_err(), "{text:?}");
        }
    }
}
