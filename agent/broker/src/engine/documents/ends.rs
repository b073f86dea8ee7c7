//! The two ends of a document's sealed content: header and trailer, without the segments between.

use std::collections::BTreeSet;

use bytes::Bytes;
use life_envelope::SignedData;
use life_envelope::signature::{Signed, Verified};
use life_envelope::stream::{MAX_TRAILER, Manifest, StreamHeader, TINK_HEADER, TrailerKey, header_length};
use life_pki::Uid;

use super::Documents;
use crate::engine::open::content_key;
use crate::error::{Fault, Result};
use crate::identities::Identity;
use crate::platform::Record;

/// What is fetched at first: most headers and trailers are shorter.
const GUESS: u64 = 32 * 1024;
/// Bytes of the trailer's length.
const LENGTH: u64 = 4;

/// The two ends of a sealed stream.
pub struct Ends {
    /// Everything before the first segment, with Tink's header.
    pub start: Bytes,
    /// The sealed trailer.
    pub trailer: Bytes,
}

fn truncated<T>() -> Result<T> {
    Err(Fault::StreamTruncated.into())
}

impl Documents<'_> {
    /// Fetches both ends.
    ///
    /// # Errors
    /// VERSION_CONFLICT, STREAM_TRUNCATED, FORMAT_INVALID.
    pub async fn ends(&self, record: &Record) -> Result<Ends> {
        let (client, size) = (&self.identity.client, record.size);
        let mut start = client.document_part(record, 0..GUESS.min(size)).await?;
        let Some(length) = header_length(&start)? else { return truncated() };
        let length = length + TINK_HEADER;
        if length as u64 > size {
            return truncated();
        }
        if start.len() < length {
            start = client.document_part(record, 0..length as u64).await?;
        }
        if start.len() < length {
            return truncated();
        }
        start.truncate(length);

        let mut end = client.document_part(record, size.saturating_sub(GUESS)..size).await?;
        let Some(tail) = end.last_chunk() else { return truncated() };
        let length = u64::from(u32::from_be_bytes(*tail));
        if length > MAX_TRAILER as u64 || length + LENGTH > size {
            return truncated();
        }
        if (end.len() as u64) < length + LENGTH {
            end = client.document_part(record, size - length - LENGTH..size).await?;
        }
        let first = (end.len() as u64).checked_sub(length + LENGTH).and_then(|it| usize::try_from(it).ok());
        let Some(first) = first else { return truncated() };
        Ok(Ends { start, trailer: end.slice(first..end.len().saturating_sub(4)) })
    }
}

impl Ends {
    /// The manifest in the trailer, and whom it was sealed for, if its signature is the one with this digest.
    ///
    /// # Errors
    /// As `Crypto.Decrypt`; DOCUMENT_MISMATCH for another signature.
    pub async fn manifest(
        &self,
        identity: &Identity,
        signature: &[u8; 32],
    ) -> Result<(Manifest, BTreeSet<Uid>)> {
        let (manifest, verified) = self.signed(identity).await?;
        if verified.signature_digest() != signature {
            return Err(Fault::DocumentMismatch.into());
        }
        let recipients = verified.context().recipients().iter().map(|it| it.uid).collect();
        Ok((manifest, recipients))
    }

    /// The manifest in the trailer, with who signed it.
    ///
    /// # Errors
    /// As `Crypto.Decrypt`.
    pub async fn signed(&self, identity: &Identity) -> Result<(Manifest, Verified)> {
        let Some((head, tink)) = self.start.split_last_chunk::<TINK_HEADER>() else { return truncated() };
        let header = StreamHeader::parse(head)?;
        let key = header.open(&content_key(identity, header.envelope()).await?)?;
        let Some(trailer) = TrailerKey::derive(&key, tink)?.open(&self.trailer)? else {
            return Err(Fault::SignatureMissing.into());
        };
        let signed = SignedData::parse(&trailer)?;
        let verified = signed.verify(Signed::Enclosed)?;
        Ok((Manifest::from_der(signed.content().unwrap_or_default())?, verified))
    }
}
