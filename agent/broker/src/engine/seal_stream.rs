//! Sealing a stream of any size in constant memory: segment by segment on the I/O thread, digests beside it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use life_envelope::Form;
use life_envelope::stream::{Position, Sealer, TAG};
use life_proto::v1;

use super::digests::SegmentDigests;
use super::flow::{Sink, Source};
use super::recipients::{Document, Resolved};
use super::seal::sign_enclosed;
use super::told;
use crate::error::{Error, Result};
use crate::identities::Identity;

/// A sealed stream, complete.
pub struct SealedStream {
    /// SHA-256 of the signature value; empty when unsigned.
    pub signature_digest: Vec<u8>,
    /// Who can open it.
    pub recipients: Vec<v1::Recipient>,
    /// Bytes of plaintext.
    pub plaintext_size: u64,
    /// Bytes of the sealed stream.
    pub ciphertext_size: u64,
}

/// Smaller pieces are copied together: each would cost more to keep than it holds.
const SMALL: usize = 64 * 1024;

/// Pieces that wait to become a segment.
#[derive(Default)]
struct Pieces {
    list: VecDeque<Bytes>,
    /// Small pieces behind those of the list.
    small: BytesMut,
    length: usize,
}

impl Pieces {
    fn push(&mut self, piece: Bytes) {
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

    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.list.push_back(std::mem::take(&mut self.small).freeze());
        }
    }

    /// Takes up to so many bytes from the front.
    fn take(&mut self, mut count: usize) -> Vec<Bytes> {
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
}

/// Counts and puts.
struct Out<'a, S> {
    sink: &'a mut S,
    size: u64,
}

impl<S: Sink> Out<'_, S> {
    async fn put(&mut self, mut bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(life_proto::CHUNK_LIMIT));
            self.sink.put(piece).await?;
        }
        Ok(())
    }
}

/// Seals what the source gives.
///
/// # Errors
/// As `Crypto.EncryptStream`, and what source and sink give. Nothing put into the sink counts then.
pub async fn seal_stream(
    identity: &Identity,
    document: &Document,
    source: &mut impl Source,
    sink: &mut impl Sink,
) -> Result<SealedStream> {
    let resolved = Resolved::with_self(identity, &document.recipients).await?;
    let (start, mut sealer) = Sealer::new(document.id, document.version, &resolved.keys)?;
    let mut out = Out { sink, size: 0 };
    out.put(start.into()).await?;

    let mut digests = document.purpose.map(|_| SegmentDigests::default());
    let mut pieces = Pieces::default();
    let mut plaintext_size = 0;
    while let Some(piece) = source.next().await? {
        plaintext_size += piece.len() as u64;
        pieces.push(piece);
        while pieces.length > sealer.segment_size() {
            let segment = pieces.take(sealer.segment_size());
            out.put(seal_segment(&mut sealer, &mut digests, segment, Position::Inner).await?).await?;
        }
    }
    let segment = pieces.take(sealer.segment_size());
    out.put(seal_segment(&mut sealer, &mut digests, segment, Position::Last).await?).await?;

    let mut signature_digest = Vec::new();
    let end = match (digests, document.purpose) {
        (Some(digests), Some(purpose)) => {
            let manifest = digests.finish(sealer.commitment()).await?;
            let context = resolved.context(identity, document, purpose, Form::Manifest)?;
            let (message, digest) = sign_enclosed(identity, manifest.to_der().into(), context).await?;
            signature_digest = digest.to_vec();
            sealer.finish(Some(&message))?
        }
        _ => sealer.finish(None)?,
    };
    out.put(end.into()).await?;
    let recipients = resolved.to_wire(document.purpose.is_some());
    told(identity, None, &recipients).await;
    Ok(SealedStream { signature_digest, recipients, plaintext_size, ciphertext_size: out.size })
}

/// Copies the pieces together once, and seals them where they then lie.
async fn seal_segment(
    sealer: &mut Sealer,
    digests: &mut Option<SegmentDigests>,
    pieces: Vec<Bytes>,
    position: Position,
) -> Result<Bytes> {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut segment = BytesMut::with_capacity(length + TAG);
    pieces.iter().for_each(|piece| segment.extend_from_slice(piece));
    if let Some(digests) = digests {
        digests.push(pieces).await?;
    }
    let tag = sealer.seal_segment(&mut segment, position).map_err(Error::internal)?;
    segment.extend_from_slice(&tag);
    Ok(segment.freeze())
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
        assert_eq!((pieces.length, pieces.take(9).concat()), (3, b"fgh".to_vec()));
        assert_eq!((pieces.length, pieces.take(1).len()), (0, 0));
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
