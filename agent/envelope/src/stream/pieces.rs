//! Bytes of a stream on their way to become segments: in pieces, copied once, when a segment is whole.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Smaller pieces are copied together: each would cost more to keep than it holds.
const SMALL: usize = 64 * 1024;

/// Pieces that wait to become a segment.
#[derive(Default)]
pub struct Pieces {
    list: VecDeque<Bytes>,
    /// Small pieces behind those of the list.
    small: BytesMut,
    length: usize,
}

impl Pieces {
    /// Bytes in all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Puts a piece behind the others.
    pub fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        if piece.len() < SMALL {
            self.small.extend_from_slice(&piece);
            if self.small.len() >= SMALL {
                self.settle();
            }
        } else {
            self.settle();
            self.list.push_back(piece);
        }
    }

    /// Takes up to so many bytes from the front.
    pub fn take(&mut self, mut count: usize) -> Vec<Bytes> {
        let mut taken = Vec::new();
        self.settle();
        while count > 0 {
            let Some(mut piece) = self.list.pop_front() else { break };
            if piece.len() > count {
                self.list.push_front(piece.split_off(count));
            }
            count -= piece.len();
            self.length -= piece.len();
            taken.push(piece);
        }
        taken
    }

    /// Takes up to so many bytes from the front and appends them to a buffer.
    pub fn take_into(&mut self, count: usize, buffer: &mut Vec<u8>) {
        self.take(count).iter().for_each(|piece| buffer.extend_from_slice(piece));
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.list.push_back(std::mem::take(&mut self.small).freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_cut_where_segments_end() {
        let mut pieces = Pieces::default();
        for piece in [b"abc".as_slice(), b"d", b"efgh"] {
            pieces.push(Bytes::from_static(piece));
        }
        assert_eq!(pieces.take(5).concat(), b"abcde");
        assert_eq!((pieces.len(), pieces.take(9).concat()), (3, b"fgh".to_vec()));
        assert_eq!((pieces.len(), pieces.take(1).len()), (0, 0));
        pieces.push(Bytes::from_static(b"ij"));
        let mut buffer = b"h".to_vec();
        pieces.take_into(5, &mut buffer);
        assert!(pieces.is_empty() && buffer == b"hij");
    }

    #[test]
    fn pieces_of_one_byte_cost_little_more_than_their_bytes() {
        let mut pieces = Pieces::default();
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let large = Bytes::from(bytes.clone());
        for n in 0..bytes.len() {
            pieces.push(large.slice(n..=n));
        }
        pieces.push(large.clone());
        pieces.push(large.slice(..1));
        assert!(pieces.list.len() <= bytes.len() / SMALL + 3, "{}", pieces.list.len());
        assert_eq!(pieces.take(usize::MAX).concat(), [&bytes, &bytes, &bytes[..1]].concat());
    }
}
