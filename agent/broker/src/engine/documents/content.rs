//! A document's sealed content on its way from the platform: taken up again where the connection broke.

use bytes::Bytes;
use hyper::body::Incoming;
use life_envelope::limits;
use life_envelope::stream::{MAX_TRAILER, SEGMENT, TAG, TINK_HEADER};
use life_proto::v1;

use super::patience::Patience;
use super::{Current, Documents, expect, options};
use crate::engine::flow::{Sink, Source};
use crate::engine::open_stream::{OpenedStream, Release, open_stream};
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::platform::{Record, next_piece};

/// The longest sealed stream of a content of this length: with the largest header and trailer.
fn longest(size: u64) -> u64 {
    let segments = size / SEGMENT as u64 + 2;
    let around = limits::MAX_HEADER + TINK_HEADER + MAX_TRAILER + 1024;
    size.saturating_add(segments.saturating_mul(TAG as u64)).saturating_add(around as u64)
}

/// The sealed content of what a record shows.
pub struct Content<'a> {
    identity: &'a Identity,
    record: &'a Record,
    body: Option<Incoming>,
    at: u64,
    /// More than that is not what the owner signed: a platform and a reader together could go on for ever.
    longest: u64,
    patience: Patience,
}

impl Source for Content<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let Some(body) = &mut self.body else {
                if self.at > 0 && self.at >= self.record.size {
                    // It broke off behind the last byte.
                    return Ok(None);
                }
                match self.identity.client.document_content(self.record, self.at, None).await {
                    Ok(answer) => self.body = Some(answer.into_body()),
                    Err(error) => self.patience.wait(error).await?,
                }
                continue;
            };
            match next_piece(body).await {
                Ok(None) => return Ok(None),
                Ok(Some(piece)) => {
                    self.at = self.at.saturating_add(piece.len() as u64);
                    if self.at > self.longest {
                        return Err(Fault::DocumentMismatch.because("it is longer than its owner signed"));
                    }
                    self.patience.progress();
                    return Ok(Some(piece));
                }
                Err(error) => {
                    self.body = None;
                    self.patience.wait(error).await?;
                }
            }
        }
    }
}

/// A document that is being fetched: its description is verified, its content comes.
pub struct Fetched {
    /// The document.
    pub current: Current,
    body: Incoming,
}

impl Documents<'_> {
    /// Begins to fetch a document.
    ///
    /// # Errors
    /// As [`Documents::current`]; VERSION_CONFLICT when it is of another version than the one given.
    pub async fn fetch(&self, id: &[u8; 16], version: Option<u64>) -> Result<Fetched> {
        let mut current = self.current(id).await?;
        let mut again = true;
        loop {
            expect(&current.record, version)?;
            match self.identity.client.document_content(&current.record, 0, None).await {
                Ok(answer) => return Ok(Fetched { current, body: answer.into_body() }),
                Err(error) if again && error.fault() == Fault::VersionConflict => {
                    again = false;
                    current = self.current(&current.record.id).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Opens and verifies the content of a document.
    ///
    /// # Errors
    /// As `Documents.Download`.
    pub async fn open_content(
        &self,
        fetched: Fetched,
        release: Release<'_>,
        sink: &mut impl Sink,
    ) -> Result<v1::DownloadDocumentResult> {
        let Fetched { current, body } = fetched;
        let record = &current.record;
        let options = options(record, record.receipt.clone(), Some(current.content_signature));
        let (identity, patience) = (self.identity, self.patience());
        let longest = longest(current.description.size);
        let mut content = Content { identity, record, body: Some(body), at: 0, longest, patience };
        let opened = open_stream(identity, &options, release, &mut content, sink).await?;
        let OpenedStream { signature, recipients: readers, plaintext_size } = opened;
        if plaintext_size != current.description.size {
            return Err(Error::from(Fault::DocumentMismatch));
        }
        Ok(v1::DownloadDocumentResult { signature: Some(signature), readers, plaintext_size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_is_shorter_than_the_longest_and_none_is_much_longer() {
        use life_envelope::stream::{Announced, Position, Sealer};
        let key = life_pki::PrivateKey::generate_p256().unwrap().public_key().clone();
        for size in [0, 1, SEGMENT, 3 * SEGMENT + 5] {
            let document = life_envelope::DocumentId([1; 16]);
            let (keys, announced) = (std::slice::from_ref(&key), Announced::Signature);
            let (start, mut sealer) = Sealer::new(document, 1, announced, keys).unwrap();
            let (mut length, mut left) = (start.len(), size);
            while left > sealer.segment_size() {
                let mut segment = vec![0; sealer.segment_size()];
                left -= segment.len();
                sealer.seal_segment(&mut segment, Position::Inner).unwrap();
                length += segment.len() + TAG;
            }
            sealer.seal_segment(&mut vec![0; left], Position::Last).unwrap();
            length += left + TAG;
            let longest = longest(size as u64);
            assert!(longest > length as u64 && longest < (length + (5 << 20)) as u64, "{size}");
        }
        assert_eq!(longest(u64::MAX), u64::MAX);
    }
}
