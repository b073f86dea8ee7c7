//! A document's sealed content on its way from the platform: taken up again where the connection broke.

use bytes::Bytes;
use hyper::body::Incoming;
use life_proto::v1;

use super::patience::Patience;
use super::{Current, Documents, expect, options};
use crate::engine::flow::{Sink, Source};
use crate::engine::open_stream::{OpenedStream, Release, open_stream};
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::platform::{Record, next_piece};

/// The sealed content of what a record shows.
pub struct Content<'a> {
    identity: &'a Identity,
    record: &'a Record,
    body: Option<Incoming>,
    at: u64,
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
                    self.at += piece.len() as u64;
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
        let mut content = Content { identity, record, body: Some(body), at: 0, patience };
        let opened = open_stream(identity, &options, release, &mut content, sink).await?;
        let OpenedStream { signature, recipients: readers, plaintext_size } = opened;
        if plaintext_size != current.description.size {
            return Err(Error::from(Fault::DocumentMismatch));
        }
        Ok(v1::DownloadDocumentResult { signature: Some(signature), readers, plaintext_size })
    }
}
