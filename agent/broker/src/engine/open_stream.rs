//! Opening a stream of any size in constant memory, and judging it.
//!
//! That a segment is authentic says only that someone with the key made it, and every co-recipient has the key. So
//! unless the reader takes that upon itself, nothing is released before the trailer is verified (FORMATS §5): the
//! ciphertext is spooled, and decrypted again when all is well.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use life_envelope::signature::{Signed, content_digest};
use life_envelope::stream::{
    Announced, Ending, MAGIC, Manifest, Opener, StreamHeader, StreamKey, header_length,
};
use life_envelope::{Form, SignedData, limits};
use life_proto::v1;

use super::account::{account, unaccounted};
use super::buffers::Buffers;
use super::digests::SegmentDigests;
use super::flow::{Nowhere, Sink, Source, Whole};
use super::judge::{Judgement, judge};
use super::open::{OpenOptions, content_key, open};
use super::spool::Spool;
use super::told;
use crate::error::{Fault, Result};
use crate::identities::Identity;

/// When plaintext is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release<'a> {
    /// When everything is verified; ciphertext waits in this folder meanwhile.
    WhenVerified(&'a Path),
    /// As it comes: the reader keeps it aside until the result is there.
    AsItComes,
}

/// An opened stream, complete.
pub struct OpenedStream {
    /// What is known of its sender.
    pub signature: v1::SignatureReport,
    /// Who can open it.
    pub recipients: Vec<v1::Recipient>,
    /// Bytes of plaintext.
    pub plaintext_size: u64,
}

/// Opens a sealed stream, or an envelope.
///
/// # Errors
/// As `Crypto.DecryptStream`, and what source and sink give.
pub async fn open_stream(
    identity: &Identity,
    options: &OpenOptions,
    release: Release<'_>,
    source: &mut impl Source,
    sink: &mut impl Sink,
) -> Result<OpenedStream> {
    let (head, rest) = match read_head(source).await? {
        Head::Stream { head, rest } => (head, rest),
        Head::Other(start) => return open_envelope(identity, options, start, source, sink).await,
    };
    let header = StreamHeader::parse(&head)?;
    let key = content_key(identity, header.envelope()).await?;
    let mut source = Joined { first: Whole(Some(rest)), then: source };
    let mut spool = match release {
        Release::AsItComes => None,
        Release::WhenVerified(folder) => Some(Spool::create(folder)?),
    };
    let checked = match &mut spool {
        None => decrypt(header.open(&key)?, &mut source, sink, None).await?,
        spool => decrypt(header.open(&key)?, &mut source, &mut Nowhere, spool.as_mut()).await?,
    };
    let verdict = check(identity, options, &header, &header.open(&key)?, &checked).await?;
    if let Some(mut spool) = spool {
        spool.rewind().await?;
        decrypt_again(header.open(&key)?, &mut spool, sink).await?;
    }
    Ok(verdict.into_opened(checked.ending.length))
}

/// The start of what came.
enum Head {
    /// The header of a sealed stream, and what followed it.
    Stream { head: Bytes, rest: Bytes },
    /// Something else: an envelope, or nothing useful.
    Other(Bytes),
}

async fn read_head(source: &mut impl Source) -> Result<Head> {
    let mut head = BytesMut::new();
    loop {
        let known = head.len().min(MAGIC.len());
        if head.get(..known) != MAGIC.get(..known) {
            return Ok(Head::Other(head.freeze()));
        }
        if let Some(length) = header_length(&head)?
            && head.len() >= length
        {
            let rest = head.split_off(length).freeze();
            return Ok(Head::Stream { head: head.freeze(), rest });
        }
        match source.next().await? {
            Some(piece) => head.extend_from_slice(&piece),
            None if head.is_empty() => return Err(Fault::FormatInvalid.because("there are no bytes")),
            None => return Err(Fault::StreamTruncated.into()),
        }
    }
}

/// An envelope is opened whole: it has at most 16 MiB.
async fn open_envelope(
    identity: &Identity,
    options: &OpenOptions,
    start: Bytes,
    source: &mut impl Source,
    sink: &mut impl Sink,
) -> Result<OpenedStream> {
    let mut message = BytesMut::from(start.as_ref());
    while let Some(piece) = source.next().await? {
        if message.len() + piece.len() > limits::MAX_ENVELOPE {
            return Err(Fault::FormatInvalid.because("it is no sealed stream, and too large for an envelope"));
        }
        message.extend_from_slice(&piece);
    }
    let opened = open(identity, message.freeze(), options).await?;
    let plaintext_size = opened.content.len() as u64;
    let mut content = Whole(Some(opened.content));
    while let Some(piece) = content.next().await? {
        sink.put(piece).await?;
    }
    Ok(OpenedStream { signature: opened.signature, recipients: opened.recipients, plaintext_size })
}

/// What a whole stream turned out to be.
struct Checked {
    ending: Ending,
    /// What a signature must stand over; nothing where none was announced, and so nothing was hashed.
    manifest: Option<Manifest>,
}

async fn decrypt(
    key: StreamKey,
    source: &mut impl Source,
    sink: &mut impl Sink,
    mut spool: Option<&mut Spool>,
) -> Result<Checked> {
    let mut digests = (key.announced() == Announced::Signature).then(SegmentDigests::default);
    let mut opener = Opener::new(key)?;
    let commitment = opener.commitment();
    let buffers = Buffers::default();
    while let Some(piece) = source.next().await? {
        if let Some(spool) = &mut spool {
            spool.write(&piece).await?;
        }
        opener.push(piece)?;
        segments(&mut opener, &buffers, digests.as_mut(), sink).await?;
    }
    opener.end_input()?;
    segments(&mut opener, &buffers, digests.as_mut(), sink).await?;
    let ending = opener.finish()?;
    let manifest = match digests {
        Some(digests) => Some(digests.finish(commitment).await?),
        None => None,
    };
    Ok(Checked { ending, manifest })
}

/// The second time, what is verified already is only decrypted.
async fn decrypt_again(key: StreamKey, spool: &mut Spool, sink: &mut impl Sink) -> Result<()> {
    let mut opener = Opener::new(key)?;
    let buffers = Buffers::default();
    while let Some(piece) = spool.next().await? {
        opener.push(piece)?;
        segments(&mut opener, &buffers, None, sink).await?;
    }
    opener.end_input()?;
    segments(&mut opener, &buffers, None, sink).await?;
    opener.finish()?;
    Ok(())
}

async fn segments(
    opener: &mut Opener,
    buffers: &Buffers,
    mut digests: Option<&mut SegmentDigests>,
    sink: &mut impl Sink,
) -> Result<()> {
    loop {
        let mut segment = buffers.take();
        if !opener.next_segment(&mut segment)? {
            drop(buffers.lend(segment));
            return Ok(());
        }
        let segment = buffers.lend(segment);
        if let Some(digests) = &mut digests {
            digests.push(vec![segment.clone()]).await?;
        }
        if !segment.is_empty() {
            sink.put(segment).await?;
        }
    }
}

/// What is known of the sender, accepted by the reader.
struct Verdict {
    signature: v1::SignatureReport,
    recipients: Vec<v1::Recipient>,
}

impl Verdict {
    fn into_opened(self, plaintext_size: u64) -> OpenedStream {
        OpenedStream { signature: self.signature, recipients: self.recipients, plaintext_size }
    }
}

/// Judges the trailer: signature, manifest, document, recipients.
async fn check(
    identity: &Identity,
    options: &OpenOptions,
    header: &StreamHeader<'_>,
    key: &StreamKey,
    checked: &Checked,
) -> Result<Verdict> {
    let envelope = header.envelope();
    let mut judgement = match &checked.ending.trailer {
        None => Judgement::none(),
        Some(trailer) => match SignedData::parse(trailer) {
            Err(error) => Judgement::invalid(error),
            Ok(signed) => {
                let receipt = options.receipt.as_deref();
                let (against, form) = (Signed::Enclosed, Form::Manifest);
                let mut judgement = judge(identity, &signed, against, options.purpose, form, receipt).await?;
                if let Some(fault) = mismatch(&signed, &judgement, key, checked.manifest.as_ref()) {
                    judgement.spoil(fault);
                }
                judgement
            }
        },
    };
    let mut recipients = unaccounted(envelope);
    if let (Some(verified), Some(trailer)) = (&judgement.verified, &checked.ending.trailer) {
        let accounted =
            account(identity, envelope, verified, &content_digest(trailer), options.sharer()).await?;
        recipients = accounted.to_wire(identity).await;
        if let Err(fault) = accounted.check(identity) {
            judgement.spoil(fault);
        }
    }
    options.accept(&judgement)?;
    told(identity, Some(&judgement.report), &recipients).await;
    Ok(Verdict { signature: judgement.report, recipients })
}

/// Whether the signed manifest and document are those of this very stream.
fn mismatch(
    signed: &SignedData<'_>,
    judgement: &Judgement,
    key: &StreamKey,
    actual: Option<&Manifest>,
) -> Option<Fault> {
    let context = judgement.verified.as_ref()?.context();
    let manifest = Manifest::from_der(signed.content().unwrap_or_default()).ok();
    let fits = manifest.zip(actual).is_some_and(|(manifest, actual)| manifest.check(actual).is_ok());
    (!fits || key.check(context).is_err()).then_some(Fault::SignatureInvalid)
}

/// One source after another.
struct Joined<'a, S> {
    first: Whole,
    then: &'a mut S,
}

impl<S: Source> Source for Joined<'_, S> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        match self.first.next().await? {
            Some(piece) => Ok(Some(piece)),
            None => self.then.next().await,
        }
    }
}

/// Whether bytes are the header of a sealed stream; an envelope begins with another byte.
pub fn is_stream(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}
