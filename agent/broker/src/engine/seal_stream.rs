//! Sealing a stream of any size in constant memory: segment by segment on the I/O thread, digests beside it.

use bytes::Bytes;
use life_envelope::Form;
use life_envelope::stream::{Announced, Manifest, Pieces, Position, Sealer};
use life_proto::v1;

use super::buffers::Buffers;
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
    /// What was signed; none when unsigned.
    pub manifest: Option<Manifest>,
    /// Who can open it.
    pub recipients: Vec<v1::Recipient>,
    /// Bytes of plaintext.
    pub plaintext_size: u64,
    /// Bytes of the sealed stream.
    pub ciphertext_size: u64,
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
    let announced = if document.purpose.is_some() { Announced::Signature } else { Announced::Nothing };
    let (start, mut sealer) = Sealer::new(document.id, document.version, announced, &resolved.keys)?;
    let mut out = Out { sink, size: 0 };
    out.put(start.into()).await?;

    let mut digests = document.purpose.map(|_| SegmentDigests::default());
    let mut pieces = Pieces::default();
    let buffers = Buffers::default();
    let mut plaintext_size = 0;
    while let Some(piece) = source.next().await? {
        plaintext_size += piece.len() as u64;
        pieces.push(piece);
        while pieces.len() > sealer.segment_size() {
            let segment = pieces.take(sealer.segment_size());
            let buffer = buffers.take();
            let sealed = seal_segment(&mut sealer, &mut digests, segment, Position::Inner, buffer).await?;
            out.put(buffers.lend(sealed)).await?;
        }
    }
    let segment = pieces.take(sealer.segment_size());
    let sealed = seal_segment(&mut sealer, &mut digests, segment, Position::Last, buffers.take()).await?;
    out.put(buffers.lend(sealed)).await?;

    let (mut signature_digest, mut signed) = (Vec::new(), None);
    let end = match (digests, document.purpose) {
        (Some(digests), Some(purpose)) => {
            let manifest = digests.finish(sealer.commitment()).await?;
            let context = resolved.context(identity, document, purpose, Form::Manifest)?;
            let (message, digest) = sign_enclosed(identity, manifest.to_der().into(), context).await?;
            (signature_digest, signed) = (digest.to_vec(), Some(manifest));
            sealer.finish(Some(&message))?
        }
        _ => sealer.finish(None)?,
    };
    out.put(end.into()).await?;
    let recipients = resolved.to_wire(document.purpose.is_some());
    told(identity, None, &recipients).await;
    Ok(SealedStream {
        signature_digest,
        manifest: signed,
        recipients,
        plaintext_size,
        ciphertext_size: out.size,
    })
}

/// Copies the pieces together once, and seals them where they then lie.
async fn seal_segment(
    sealer: &mut Sealer,
    digests: &mut Option<SegmentDigests>,
    pieces: Vec<Bytes>,
    position: Position,
    mut segment: Vec<u8>,
) -> Result<Vec<u8>> {
    segment.clear();
    pieces.iter().for_each(|piece| segment.extend_from_slice(piece));
    if let Some(digests) = digests {
        digests.push(pieces).await?;
    }
    let tag = sealer.seal_segment(&mut segment, position).map_err(Error::internal)?;
    segment.extend_from_slice(&tag);
    Ok(segment)
}
