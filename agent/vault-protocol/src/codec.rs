//! The encoding of fields: big-endian integers, and bytes behind a `u32be` length.

use crate::entries::Entries;

/// The body of a frame is not exactly one well-formed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is not well-formed")]
pub struct DecodeError;

/// Takes encoded bytes. A message is encoded twice: once to count, once into a buffer of that size, so that a
/// buffer that holds a secret never grows and leaves a copy behind.
pub(crate) trait Sink {
    fn raw(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// A length above `u32::MAX` is written as that; the frame is refused for its size in any case.
    fn length(&mut self, len: usize) {
        self.u32(u32::try_from(len).unwrap_or(u32::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.raw(bytes);
    }

    fn entries(&mut self, items: &Entries) {
        self.length(items.len());
        items.iter().for_each(|item| self.bytes(item));
    }

    fn list(&mut self, items: &[Vec<u8>]) {
        self.length(items.len());
        items.iter().for_each(|item| self.bytes(item));
    }
}

/// Counts what would be written.
pub(crate) struct Counter(pub(crate) usize);

impl Sink for Counter {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

impl Sink for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Reads fields from hostile bytes.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(DecodeError)?;
        self.0 = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn length(&mut self, max: usize) -> Result<usize, DecodeError> {
        usize::try_from(self.u32()?).ok().filter(|len| *len <= max).ok_or(DecodeError)
    }

    pub(crate) fn bytes(&mut self, max: usize) -> Result<&'a [u8], DecodeError> {
        let len = self.length(max)?;
        self.take(len)
    }

    pub(crate) fn text(&mut self, max: usize) -> Result<String, DecodeError> {
        std::str::from_utf8(self.bytes(max)?).map(str::to_owned).map_err(|_| DecodeError)
    }

    pub(crate) fn list(&mut self, max_items: usize, max_each: usize) -> Result<Vec<Vec<u8>>, DecodeError> {
        let count = self.length(max_items)?;
        (0..count).map(|_| self.bytes(max_each).map(<[u8]>::to_vec)).collect()
    }

    pub(crate) fn entries(&mut self, max_items: usize, max_each: usize) -> Result<Entries, DecodeError> {
        let count = self.length(max_items)?;
        // Once to count, so that the block never grows.
        let (mut ahead, mut total) = (Reader(self.0), 0);
        for _ in 0..count {
            total += ahead.bytes(max_each)?.len();
        }
        let mut entries = Entries::with_capacity(count, total);
        for _ in 0..count {
            entries.push(self.bytes(max_each)?);
        }
        Ok(entries)
    }

    /// Refuses trailing bytes.
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError) }
    }
}
