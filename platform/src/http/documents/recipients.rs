//! Whether content and metadata are for exactly the people who may read the document.

use std::collections::BTreeSet;

use life_envelope::Envelope;
use life_pki::Uid;
use rusqlite::Connection;

use super::MAX_METADATA;
use crate::http::problem::{Problem, Reason};
use crate::store::accounts;
use crate::store::blobs::DepositError;
use crate::store::shape::ShapeError;

/// Checks the form of the envelope with the metadata.
///
/// # Errors
/// [`Reason::TooLarge`], [`Reason::ContentRefused`].
pub fn parse_metadata(bytes: &[u8]) -> Result<Envelope<'_>, Problem> {
    if bytes.len() > MAX_METADATA {
        return Err(Problem::new(Reason::TooLarge, "the envelope with the metadata has at most 512 KiB"));
    }
    Envelope::parse(bytes).map_err(|fault| DepositError::Shape(ShapeError::Envelope(fault)).into())
}

/// Checks that the recipients' keys are root credentials of the owner and the readers, and that nobody is missing.
///
/// # Errors
/// [`Reason::RecipientRefused`], in the same words for a key that is not known and for one of somebody else.
pub fn check(
    connection: &Connection,
    envelope: &Envelope<'_>,
    owner: Uid,
    readers: &BTreeSet<Uid>,
) -> Result<(), Problem> {
    let mut missing = readers.clone();
    missing.insert(owner);
    let meant = missing.clone();
    for recipient in envelope.recipients() {
        let key = recipient.id().spki_hash();
        let uid = key.map(|key| accounts::root_key_owner(connection, key)).transpose()?.flatten();
        match uid.filter(|uid| meant.contains(uid)) {
            Some(uid) => drop(missing.remove(&uid)),
            None => return Err(refused("a recipient is neither the owner nor a reader")),
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(refused("the owner or a reader is not among the recipients"))
    }
}

fn refused(what: &str) -> Problem {
    let detail = format!("{what}; encrypt content and metadata to the root credentials of owner and readers");
    Problem::new(Reason::RecipientRefused, detail)
}
