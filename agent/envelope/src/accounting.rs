//! Whether every recipient of an envelope was listed by its sender or added by someone who may (FORMATS §4).

use life_pki::{SpkiHash, Uid};

use crate::{DocumentContext, RecipientId, RecipientInfo, SharingStatement, Verified};

/// A sharing statement whose signature was verified: cryptographically, and by the signer's account log.
#[derive(Clone, Debug)]
pub struct AttestedStatement {
    statement: SharingStatement,
    signer: Uid,
}

impl AttestedStatement {
    /// Binds a statement to its verified signature.
    ///
    /// # Errors
    /// [`crate::Error::Signature`] when purpose, document, version or recipients of context and statement differ.
    pub fn new(verified: &Verified, content: &[u8]) -> Result<Self, crate::Error> {
        let _ = (verified, content);
        Err(crate::Error::Malformed)
    }

    /// The statement.
    #[must_use]
    pub fn statement(&self) -> &SharingStatement {
        &self.statement
    }

    /// Who signed it.
    #[must_use]
    pub fn signer(&self) -> Uid {
        self.signer
    }
}

/// How a recipient comes to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Listed by the sender.
    Listed,
    /// Added by this user's sharing statement.
    SharedBy(Uid),
    /// Nobody who may says so.
    Unaccounted,
}

/// One recipient of an envelope, accounted for or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountedRecipient {
    /// The name in the envelope.
    pub id: RecipientId,
    /// The user, where known.
    pub uid: Option<Uid>,
    /// How it comes to be a recipient.
    pub standing: Standing,
}

/// Accounts for every recipient of an envelope.
///
/// `original` is the SHA-256 of the original SignedData. `owner` tells which user a key or certificate name belongs to
/// according to a verified account log: it maps newer generations of a listed user's root credential and certificate
/// names; it may know nothing.
///
/// Statements count when they are about this document, version and original, and their signer is the sender, a listed
/// recipient, or was added by a statement that counts.
#[must_use]
pub fn account(
    recipients: &[RecipientInfo],
    context: &DocumentContext,
    original: &[u8; 32],
    statements: &[AttestedStatement],
    owner: &dyn Fn(&RecipientId) -> Option<(Uid, SpkiHash)>,
) -> Vec<AccountedRecipient> {
    let _ = (context, original, statements, owner);
    recipients
        .iter()
        .map(|info| AccountedRecipient { id: info.id().clone(), uid: None, standing: Standing::Unaccounted })
        .collect()
}

/// Whether a user may add recipients: the sender, a listed recipient, or one added by a statement that counts.
#[must_use]
pub fn may_share(
    user: Uid,
    context: &DocumentContext,
    original: &[u8; 32],
    statements: &[AttestedStatement],
) -> bool {
    let _ = (user, context, original, statements);
    false
}
