//! A version that is there already: perhaps the very one that a caller brings, from a call whose answer was lost.

use life_envelope::stream::{FIRST_SEGMENT, Manifest, Pieces, SEGMENT};

use super::upload::{Put, Uploaded};
use super::{Current, Documents};
use crate::engine::digests::SegmentDigests;
use crate::engine::flow::Source;
use crate::error::{Error, Fault, Result};

/// How often the document may change while it is looked at.
const ATTEMPTS: usize = 3;

/// A version that a caller may have stored before: all but the content was compared.
pub struct Found {
    current: Current,
    signed: Manifest,
    conflict: Error,
}

impl Documents<'_> {
    /// Looks at the version that stands where a caller's should come to stand.
    ///
    /// # Errors
    /// The conflict itself when that is another one already by its number, description or those it was sealed for; PLATFORM_UNAVAILABLE,
    /// and as [`Documents::current`] where nothing can be said.
    pub async fn find(&self, put: &Put, conflict: Error) -> Result<Found> {
        for _ in 1..ATTEMPTS {
            match self.find_once(put, conflict.clone()).await {
                Err(error) if error.metadata(CHANGED).is_some() => {}
                found => return found,
            }
        }
        self.find_once(put, conflict).await
    }

    async fn find_once(&self, put: &Put, conflict: Error) -> Result<Found> {
        let current = match self.patience().persist(|| self.current(&put.id)).await {
            Ok(current) => current,
            Err(error) if error.is_about_content() || error.fault() == Fault::DocumentNotFound => {
                return Err(conflict);
            }
            Err(error) => return Err(error),
        };
        let record = &current.record;
        let owner = record.owner;
        let conflict = conflict.with("current_version", record.version.to_string());
        let same = put.replaces.checked_add(1) == Some(record.version)
            && owner == self.identity.uid
            && put.wanted.is_said_by(&current.description, &put.id);
        if !same {
            return Err(conflict);
        }
        let ends = self.patience().persist(|| self.ends(record)).await.map_err(|error| {
            // Shared or replaced since it was looked at.
            let changed = error.fault() == Fault::VersionConflict;
            if changed { conflict.clone().with(CHANGED, "true") } else { error }
        })?;
        let (signed, sealed_for) = ends.manifest(self.identity, &current.content_signature).await?;
        // Whoever it was shared with later is no concern of the one who stored it.
        let mut readers = put.readers.clone();
        readers.insert(owner);
        if put.keep_readers { readers.is_subset(&sealed_for) } else { readers == sealed_for }
            .then_some(())
            .ok_or_else(|| conflict.clone())?;
        Ok(Found { current, signed, conflict })
    }
}

/// The metadata of a conflict with a version that changed while it was looked at.
const CHANGED: &str = "changed_meanwhile";

impl Found {
    /// Compares the content as it comes from the caller.
    ///
    /// # Errors
    /// The conflict when it is another one; what the source gives.
    pub async fn compare(self, source: &mut impl Source) -> Result<Uploaded> {
        let mut digests = SegmentDigests::default();
        let (mut pieces, mut size) = (Pieces::default(), FIRST_SEGMENT);
        while let Some(piece) = source.next().await? {
            pieces.push(piece);
            while pieces.len() > size {
                digests.push(pieces.take(size)).await?;
                size = SEGMENT;
            }
        }
        digests.push(pieces.take(size)).await?;
        let brought = digests.finish(self.signed.commitment).await?;
        self.settle(brought)
    }

    /// Compares the content by its manifest, whatever key that is bound to.
    ///
    /// # Errors
    /// The conflict when it is another one.
    pub fn settle(self, brought: Manifest) -> Result<Uploaded> {
        let brought = Manifest { commitment: self.signed.commitment, ..brought };
        if self.signed.check(&brought).is_err() {
            return Err(self.conflict);
        }
        Ok(Uploaded {
            version: self.current.record.version,
            plaintext_size: self.signed.length,
            ciphertext_size: self.current.record.size,
            readers: self.current.readers,
            existed: true,
            resumed: 0,
        })
    }
}
