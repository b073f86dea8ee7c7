//! Whether every recipient of an envelope was listed by its sender or added by someone who may (FORMATS §4).
//!
//! This is what stops surreptitious forwarding: a recipient cannot pass a signed document on as if its sender had
//! meant it for somebody else. It survives sharing and new generations of root credentials.

use std::collections::{BTreeMap, BTreeSet};

use life_pki::{SpkiHash, Uid};

use crate::{
    DocumentContext, Error, ListedRecipient, Purpose, RecipientId, RecipientInfo, SharingStatement,
    SignatureFault, Verified,
};

/// A sharing statement whose signature was verified: cryptographically, and against the signer's account log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestedStatement {
    statement: SharingStatement,
    signer: Uid,
}

impl AttestedStatement {
    /// Binds a statement to its verified signature. `content` is the content that signature verified with.
    ///
    /// The caller has made sure that the sender named is the certificate's owner ([`Verified::check`]) and that the
    /// account log agrees.
    ///
    /// # Errors
    /// [`Error::Signature`] when the content is not the one signed, or when purpose, document, version or recipients of
    /// context and statement differ; [`Error::Malformed`] for a content that is no statement.
    pub fn new(verified: &Verified, content: &[u8]) -> Result<Self, Error> {
        if crate::signature::content_digest(content) != *verified.content_digest() {
            return Err(SignatureFault::DigestMismatch.into());
        }
        let statement = SharingStatement::from_der(content)?;
        Self::bind(statement, verified.context())
    }

    fn bind(statement: SharingStatement, context: &DocumentContext) -> Result<Self, Error> {
        if context.purpose() != Purpose::Share {
            return Err(SignatureFault::PurposeMismatch.into());
        }
        let agree = context.document_id() == statement.document_id()
            && context.document_version() == statement.document_version()
            && context.recipients() == statement.added();
        if !agree {
            return Err(SignatureFault::StatementMismatch.into());
        }
        Ok(Self { statement, signer: context.sender() })
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

/// Who may be a recipient of one signed document, and on whose word.
#[derive(Clone, Debug)]
pub struct Accounting {
    sender: Uid,
    users: BTreeMap<Uid, Standing>,
    keys: BTreeMap<SpkiHash, Uid>,
}

impl Accounting {
    /// Gathers everybody listed by the sender or by a statement that counts.
    ///
    /// `original` is the SHA-256 of the original SignedData message, as it stands in the envelope or trailer. A statement
    /// counts when it is about this document, version and original, and its signer is the sender, a listed recipient, or
    /// was added by a statement that counts. Others are passed over.
    #[must_use]
    pub fn new(context: &DocumentContext, original: &[u8; 32], statements: &[AttestedStatement]) -> Self {
        let mut accounting = Self { sender: context.sender(), users: BTreeMap::new(), keys: BTreeMap::new() };
        accounting.list(context.recipients(), Standing::Listed);
        let mut open: Vec<&AttestedStatement> = statements
            .iter()
            .filter(|it| {
                it.statement.document_id() == context.document_id()
                    && it.statement.document_version() == context.document_version()
                    && it.statement.original() == original
            })
            .collect();
        // The statements have no order, so go round until nobody new may share. Each round settles one or ends.
        while let Some(index) = open.iter().position(|it| accounting.may_share(it.signer)) {
            let statement = open.swap_remove(index);
            accounting.list(statement.statement.added(), Standing::SharedBy(statement.signer));
        }
        accounting
    }

    fn list(&mut self, recipients: &[ListedRecipient], standing: Standing) {
        for recipient in recipients {
            self.users.entry(recipient.uid).or_insert(standing);
            self.keys.entry(recipient.root_key).or_insert(recipient.uid);
        }
    }

    /// Whether a user may add recipients: the sender, a listed recipient, or one added by a statement that counts.
    #[must_use]
    pub fn may_share(&self, user: Uid) -> bool {
        user == self.sender || self.users.contains_key(&user)
    }

    /// Whether a reader is meant: one of its (user, root key) pairs of any generation is listed or was added.
    #[must_use]
    pub fn lists(&self, own: &[ListedRecipient]) -> bool {
        own.iter().any(|it| self.keys.get(&it.root_key) == Some(&it.uid))
    }

    /// Everybody listed or added, with how they came to be.
    pub fn users(&self) -> impl Iterator<Item = (Uid, Standing)> + '_ {
        self.users.iter().map(|(uid, standing)| (*uid, *standing))
    }

    /// Accounts for every recipient of an envelope.
    ///
    /// `owner` tells which user a key or certificate name belongs to according to a verified account log. It maps newer
    /// generations of a listed user's root credential, and the certificate names other software uses; it may know
    /// nothing. Where it knows, it counts more than what sender and sharers say of a key.
    #[must_use]
    pub fn account(
        &self,
        recipients: &[RecipientInfo],
        owner: &dyn Fn(&RecipientId) -> Option<Uid>,
    ) -> Vec<AccountedRecipient> {
        recipients
            .iter()
            .map(|info| {
                let id = info.id().clone();
                let uid = owner(&id).or_else(|| self.keys.get(&id.spki_hash()?).copied());
                let standing =
                    uid.and_then(|uid| self.users.get(&uid).copied()).unwrap_or(Standing::Unaccounted);
                AccountedRecipient { id, uid, standing }
            })
            .collect()
    }
}

/// The distinct users among accounted recipients that nobody accounts for, and how many of them have no known user.
#[must_use]
pub fn unaccounted(recipients: &[AccountedRecipient]) -> (BTreeSet<Uid>, usize) {
    let open = recipients.iter().filter(|it| it.standing == Standing::Unaccounted);
    let unknown = open.clone().filter(|it| it.uid.is_none()).count();
    (open.filter_map(|it| it.uid).collect(), unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContentKey, DocumentId, Form};

    const ORIGINAL: [u8; 32] = [7; 32];

    fn uid(n: u8) -> Uid {
        Uid::from_random([n; 16])
    }

    fn listed(n: u8) -> ListedRecipient {
        ListedRecipient { uid: uid(n), root_key: SpkiHash([n; 32]) }
    }

    fn context(sender: u8, purpose: Purpose, recipients: &[u8]) -> DocumentContext {
        let recipients = recipients.iter().copied().map(listed).collect();
        let form = if purpose == Purpose::Share { Form::Statement } else { Form::Content };
        DocumentContext::new(purpose, form, uid(sender), DocumentId([1; 16]), 1, recipients).unwrap()
    }

    fn statement(signer: u8, added: &[u8]) -> AttestedStatement {
        let list = added.iter().copied().map(listed).collect();
        let statement = SharingStatement::new(DocumentId([1; 16]), 1, ORIGINAL, list).unwrap();
        AttestedStatement::bind(statement, &context(signer, Purpose::Share, added)).unwrap()
    }

    fn recipients(keys: &[u8]) -> Vec<RecipientInfo> {
        let point = life_pki::PrivateKey::generate_p256().unwrap();
        let info = RecipientInfo::wrap(&ContentKey::generate().unwrap(), point.public_key()).unwrap();
        keys.iter().map(|n| info.clone().with_id(RecipientId::KeyId(vec![*n; 32]))).collect()
    }

    fn standings(accounting: &Accounting, keys: &[u8]) -> Vec<Standing> {
        let accounted = accounting.account(&recipients(keys), &|_| None);
        accounted.into_iter().map(|it| it.standing).collect()
    }

    #[test]
    fn listed_and_shared_are_accounted_for_in_any_order() {
        let statements = [statement(3, &[4]), statement(2, &[3]), statement(9, &[8])];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
            let statements: Vec<_> = order.iter().map(|&n| statements[n].clone()).collect();
            let accounting = Accounting::new(&context(1, Purpose::Document, &[1, 2]), &ORIGINAL, &statements);
            assert_eq!(
                standings(&accounting, &[1, 2, 3, 4, 8]),
                [
                    Standing::Listed,
                    Standing::Listed,
                    Standing::SharedBy(uid(2)),
                    Standing::SharedBy(uid(3)),
                    Standing::Unaccounted,
                ]
            );
            assert!(accounting.may_share(uid(4)) && !accounting.may_share(uid(8)));
            assert!(accounting.lists(&[listed(4)]) && !accounting.lists(&[listed(8)]));
        }
    }

    #[test]
    fn statements_of_a_circle_do_not_lift_each_other() {
        let statements = [statement(5, &[6]), statement(6, &[5])];
        let accounting = Accounting::new(&context(1, Purpose::Document, &[1]), &ORIGINAL, &statements);
        assert_eq!(standings(&accounting, &[5, 6]), [Standing::Unaccounted; 2]);
    }

    #[test]
    fn statements_about_something_else_do_not_count() {
        let original = context(1, Purpose::Document, &[1]);
        let accounting = Accounting::new(&original, &[0; 32], &[statement(1, &[2])]);
        assert_eq!(standings(&accounting, &[2]), [Standing::Unaccounted]);
        let other = SharingStatement::new(DocumentId([1; 16]), 2, ORIGINAL, vec![listed(2)]).unwrap();
        let fault = Err(Error::Signature(SignatureFault::StatementMismatch));
        assert_eq!(AttestedStatement::bind(other, &context(1, Purpose::Share, &[2])), fault);
        let other = SharingStatement::new(DocumentId([1; 16]), 1, ORIGINAL, vec![listed(3)]).unwrap();
        assert_eq!(AttestedStatement::bind(other.clone(), &context(1, Purpose::Share, &[2])), fault);
        let fault = Err(Error::Signature(SignatureFault::PurposeMismatch));
        assert_eq!(AttestedStatement::bind(other, &context(1, Purpose::Document, &[3])), fault);
    }

    #[test]
    fn a_newer_generation_belongs_to_its_user() {
        let accounting = Accounting::new(&context(1, Purpose::Document, &[1]), &ORIGINAL, &[]);
        let log = |id: &RecipientId| (id.spki_hash() == Some(SpkiHash([77; 32]))).then(|| uid(1));
        let accounted = accounting.account(&recipients(&[77, 78]), &log);
        assert_eq!(accounted[0].standing, Standing::Listed);
        assert_eq!(accounted[1].standing, Standing::Unaccounted);
        // A key of user 9, whom the sender did not list, under the name of user 1.
        let log = |_: &RecipientId| Some(uid(9));
        assert_eq!(accounting.account(&recipients(&[1]), &log)[0].standing, Standing::Unaccounted);
        assert_eq!(unaccounted(&accounted), (BTreeSet::new(), 1));
    }
}
