//! Buffers of one stream, used again and again: a fresh one for each segment would cost more than encrypting it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use life_envelope::stream::CIPHERTEXT_SEGMENT;

/// Buffers that wait to be used again; more are on their way to a reader.
const KEPT: usize = 4;

/// The buffers of one stream. They are freed, and so wiped, with it.
#[derive(Default)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// A buffer with room for a segment; what it holds is of no meaning.
    pub fn take(&self) -> Vec<u8> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Vec::with_capacity(CIPHERTEXT_SEGMENT))
    }

    /// Makes a buffer bytes to be sent; when all of them were, it comes back.
    pub fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: Arc::downgrade(&self.0) })
    }
}

struct Lent {
    buffer: Vec<u8>,
    home: Weak<Mutex<Vec<Vec<u8>>>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            let mut kept = home.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.push(std::mem::take(&mut self.buffer));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_all_of_it_was_read() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"abc");
        let place = buffer.as_ptr();
        let next = || {
            let buffer = buffers.take();
            buffer.as_ptr()
        };
        let mut sent = buffers.lend(buffer);
        let first = sent.split_to(1);
        drop(sent);
        assert_ne!(next(), place);
        assert_eq!(first, "a");
        drop(first);
        assert_eq!(next(), place);
    }

    #[test]
    fn few_are_kept_and_none_outlives_its_stream() {
        let buffers = Buffers::default();
        let lent: Vec<_> = (0..KEPT + 3).map(|_| buffers.lend(buffers.take())).collect();
        drop(lent);
        assert_eq!(buffers.0.lock().unwrap().len(), KEPT);
        let late = buffers.lend(buffers.take());
        drop(buffers);
        drop(late);
    }
}
