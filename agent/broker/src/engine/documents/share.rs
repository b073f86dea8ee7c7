//! Sharing a document: both its parts are wrapped for more readers, and both say who did it.

use std::collections::BTreeSet;

use bytes::Bytes;
use life_envelope::{Envelope, limits};
use life_pki::Uid;

use super::{Current, Documents, named, stored, unless_changed};
use crate::engine::share::{Shared, share};
use crate::error::{Error, Fault, Result};
use crate::platform::{Base64, Sharing};

/// Sharings of one version; beyond, the document is sealed anew instead.
const MOST: usize = 48;
/// Bytes of a description's envelope; likewise.
const ROOM: usize = 256 * 1024;

/// Whether there is no room for many more sharing statements: sealed anew there are none.
fn is_full(metadata: &[u8]) -> Result<bool> {
    Ok(metadata.len() > ROOM || Envelope::parse(metadata)?.statements().len() >= MOST)
}

impl Documents<'_> {
    /// Lets users read a document.
    ///
    /// # Errors
    /// As `Documents.Share`.
    pub async fn share(&self, id: &[u8; 16], version: Option<u64>, users: &BTreeSet<Uid>) -> Result<Current> {
        unless_changed(|| self.share_once(id, version, users)).await
    }

    async fn share_once(
        &self,
        id: &[u8; 16],
        version: Option<u64>,
        users: &BTreeSet<Uid>,
    ) -> Result<Current> {
        let current = self.own(id, version).await?;
        let (record, readers) = (&current.record, current.users()?);
        let added: BTreeSet<Uid> =
            users.iter().filter(|uid| **uid != record.owner && !readers.contains(uid)).copied().collect();
        if added.is_empty() {
            return Ok(current);
        }
        if readers.len() + added.len() >= limits::MAX_RECIPIENTS {
            return Err(Error::field("readers", "are too many together with those it has"));
        }
        if is_full(&record.metadata)? {
            let fetched = self.fetch(id, Some(record.version)).await?;
            let readers = fetched.current.users()?.union(&added).copied().collect();
            self.anew(fetched, readers).await?;
            return self.own(id, None).await;
        }
        let ends = self.ends(record).await?;
        let content = Shared {
            message: ends.start,
            trailer: ends.trailer,
            receipt: record.receipt.as_deref(),
            stored: Some(stored(record, Some(current.content_signature))),
        };
        let (header, _) = share(self.identity, &added, content).await?;
        let description = Shared {
            message: record.metadata.clone(),
            trailer: Bytes::new(),
            receipt: None,
            stored: Some(stored(record, None)),
        };
        let (metadata, _) = share(self.identity, &added, description).await?;
        let sharing = Sharing {
            version: record.version,
            revision: record.revision,
            header: Base64(header),
            metadata: Base64(metadata.clone()),
            readers: named(&added),
        };
        let client = &self.identity.client;
        let shared = self.patience().persist(|| client.share_document(id, &sharing)).await?;
        if shared.version != record.version || shared.metadata != metadata {
            return Err(Error::from(Fault::DocumentMismatch));
        }
        self.open(shared).await
    }
}
