//! Sealing a stream of any size in constant memory: segment by segment on the I/O thread, digests beside it.

use std::collections::BTreeSet;

use bytes::Bytes;
use life_envelope::Form;
use life_envelope::stream::{Announced, Manifest, Pieces, Position, Sealer, StreamHeader, TINK_HEADER};
use life_proto::v1;

use super::buffers::Buffers;
use super::digests::SegmentDigests;
use super::flow::{Sink, Source};
use super::open::content_key;
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
    async fn put(&mut self, bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        put_all(self.sink, bytes).await
    }
}

/// Puts bytes in pieces as long as a sink takes them.
pub async fn put_all(sink: &mut impl Sink, mut bytes: Bytes) -> Result<()> {
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(life_proto::CHUNK_LIMIT));
        sink.put(piece).await?;
    }
    Ok(())
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
    let content = Sealing::begin(identity, document).await?.content(source, sink).await?;
    let (sealed, trailer) = content.end().await?;
    put_all(sink, trailer).await?;
    Ok(sealed)
}

/// A stream that is about to be sealed.
pub struct Sealing<'a> {
    identity: &'a Identity,
    document: &'a Document,
    resolved: Resolved,
    sealer: Sealer,
    start: Bytes,
}

life_sys::secret_types!(Sealing<'static>);

/// A stream that is sealed but for its trailer.
pub struct SealedContent<'a> {
    sealing: Sealing<'a>,
    manifest: Option<Manifest>,
    plaintext_size: u64,
    size: u64,
}

life_sys::secret_types!(SealedContent<'static>);

impl<'a> Sealing<'a> {
    /// Begins a stream, under a fresh key.
    ///
    /// # Errors
    /// As `Crypto.EncryptStream`.
    pub async fn begin(identity: &'a Identity, document: &'a Document) -> Result<Self> {
        let resolved = Resolved::with_self(identity, &document.recipients).await?;
        let announced = if document.purpose.is_some() { Announced::Signature } else { Announced::Nothing };
        let (start, sealer) = Sealer::new(document.id, document.version, announced, &resolved.keys)?;
        Ok(Self { identity, document, resolved, sealer, start: start.into() })
    }

    /// Begins once more a signed stream with this beginning, as [`Sealer::again`]; nothing when it is not of this
    /// document or not for exactly these recipients.
    ///
    /// # Errors
    /// As `Crypto.EncryptStream`, and when the vault does not answer.
    pub async fn again(identity: &'a Identity, document: &'a Document, start: Bytes) -> Result<Option<Self>> {
        let resolved = Resolved::with_self(identity, &document.recipients).await?;
        let Some((head, tink)) = start.split_last_chunk::<TINK_HEADER>() else { return Ok(None) };
        let Ok(header) = StreamHeader::parse(head) else { return Ok(None) };
        let recipients = header.envelope().recipients();
        let named: BTreeSet<_> = recipients.iter().map(|it| it.id().spki_hash()).collect();
        let wanted: BTreeSet<_> = resolved.keys.iter().map(|key| Some(key.hash())).collect();
        if named != wanted || recipients.len() != resolved.keys.len() {
            return Ok(None);
        }
        let Ok(key) = header.open(&content_key(identity, header.envelope()).await?) else { return Ok(None) };
        let fits = (key.document_id(), key.document_version(), key.announced())
            == (document.id, document.version, Announced::Signature);
        let sealer = Sealer::again(&key, tink);
        let (true, Some(_), Ok(sealer)) = (fits, document.purpose, sealer) else { return Ok(None) };
        Ok(Some(Self { identity, document, resolved, sealer, start: start.clone() }))
    }

    /// Everything before the first segment.
    pub fn start(&self) -> Bytes {
        self.start.clone()
    }

    /// Seals what the source gives, up to its end.
    ///
    /// # Errors
    /// What source and sink give.
    pub async fn content(
        mut self,
        source: &mut impl Source,
        sink: &mut impl Sink,
    ) -> Result<SealedContent<'a>> {
        let mut out = Out { sink, size: 0 };
        out.put(self.start()).await?;
        let sealer = &mut self.sealer;
        let mut digests = self.document.purpose.map(|_| SegmentDigests::default());
        let mut pieces = Pieces::default();
        let buffers = Buffers::default();
        let mut plaintext_size = 0;
        while let Some(piece) = source.next().await? {
            plaintext_size += piece.len() as u64;
            pieces.push(piece);
            while pieces.len() > sealer.segment_size() {
                let segment = pieces.take(sealer.segment_size());
                let buffer = buffers.take();
                let sealed = seal_segment(sealer, &mut digests, segment, Position::Inner, buffer).await?;
                out.put(buffers.lend(sealed)).await?;
            }
        }
        let segment = pieces.take(sealer.segment_size());
        let sealed = seal_segment(sealer, &mut digests, segment, Position::Last, buffers.take()).await?;
        out.put(buffers.lend(sealed)).await?;
        let size = out.size;
        let manifest = match digests {
            Some(digests) => Some(digests.finish(self.sealer.commitment()).await?),
            None => None,
        };
        Ok(SealedContent { sealing: self, manifest, plaintext_size, size })
    }
}

impl SealedContent<'_> {
    /// What is to be signed; none when unsigned.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Signs it, and seals the trailer, which is all that is still to be put into the sink.
    ///
    /// # Errors
    /// As `Crypto.EncryptStream`.
    pub async fn end(self) -> Result<(SealedStream, Bytes)> {
        let Sealing { identity, document, resolved, sealer, .. } = self.sealing;
        let mut signature_digest = Vec::new();
        let trailer = match (&self.manifest, document.purpose) {
            (Some(manifest), Some(purpose)) => {
                let context = resolved.context(identity, document, purpose, Form::Manifest)?;
                let (message, digest) = sign_enclosed(identity, manifest.to_der().into(), context).await?;
                signature_digest = digest.to_vec();
                sealer.finish(Some(&message))?
            }
            _ => sealer.finish(None)?,
        };
        let stream = SealedStream {
            signature_digest,
            recipients: resolved.to_wire(document.purpose.is_some()),
            manifest: self.manifest,
            plaintext_size: self.plaintext_size,
            ciphertext_size: self.size + trailer.len() as u64,
        };
        told(identity, None, &stream.recipients).await;
        Ok((stream, trailer.into()))
    }

    /// The stream with the trailer that it was given earlier, whose signature value has this digest.
    pub fn with_trailer(self, signature_digest: [u8; 32], trailer: &Bytes) -> SealedStream {
        SealedStream {
            signature_digest: signature_digest.to_vec(),
            recipients: self.sealing.resolved.to_wire(true),
            manifest: self.manifest,
            plaintext_size: self.plaintext_size,
            ciphertext_size: self.size + trailer.len() as u64,
        }
    }
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
