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

/// What verified account logs say of keys, as far as they are at hand.
pub trait Logs {
    /// The user whose root credential, of any generation, a recipient of an envelope is, and that key's hash.
    fn owner(&self, id: &RecipientId) -> Option<ListedRecipient>;

    /// Whether the log of a user is at hand: then a key that is not in it is not that user's.
    fn has(&self, user: Uid) -> bool;
}

/// No logs: sender and sharers are taken at their word.
pub struct NoLogs;

impl Logs for NoLogs {
    fn owner(&self, _: &RecipientId) -> Option<ListedRecipient> {
        None
    }

    fn has(&self, _: Uid) -> bool {
        false
    }
}

/// Who may be a recipient of one signed document, and on whose word.
#[derive(Clone, Debug)]
pub struct Accounting {
    sender: Uid,
    /// The first word on each user: who may share, and how a key that nobody listed comes to its listed owner.
    users: BTreeMap<Uid, Standing>,
    /// Each key's own standing: whose it is said to be, and by whom; the sender's word first.
    keys: BTreeMap<SpkiHash, Vec<(Uid, Standing)>>,
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
            let claims = self.keys.entry(recipient.root_key).or_default();
            if !claims.iter().any(|(uid, _)| *uid == recipient.uid) {
                claims.push((recipient.uid, standing));
            }
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
        own.iter().any(|it| self.claim(it).is_some())
    }

    /// The standing of a key as this user's.
    fn claim(&self, listed: &ListedRecipient) -> Option<Standing> {
        let claims = self.keys.get(&listed.root_key)?;
        claims.iter().find(|(uid, _)| *uid == listed.uid).map(|(_, standing)| *standing)
    }

    /// Every user listed or added, once.
    pub fn users(&self) -> impl Iterator<Item = Uid> + '_ {
        self.users.keys().copied()
    }

    /// The users a key is said to belong to.
    pub fn claimed(&self, key: SpkiHash) -> impl Iterator<Item = Uid> + '_ {
        self.keys.get(&key).into_iter().flatten().map(|(uid, _)| *uid)
    }

    /// Accounts for every recipient of an envelope.
    ///
    /// The logs map newer generations of a listed user's root credential, and the certificate names other software
    /// uses. Where they know, they count more than what sender and sharers say of a key: a key said to be a user's that
    /// is not in that user's log is unaccounted.
    #[must_use]
    pub fn account(&self, recipients: &[RecipientInfo], logs: &dyn Logs) -> Vec<AccountedRecipient> {
        let account = |info: &RecipientInfo| {
            let id = info.id().clone();
            let (uid, standing) = match logs.owner(&id) {
                Some(owner) => {
                    let standing = self.claim(&owner).or_else(|| self.users.get(&owner.uid).copied());
                    (Some(owner.uid), standing)
                }
                None => self.word_on(&id, logs).unzip(),
            };
            AccountedRecipient { id, uid, standing: standing.unwrap_or(Standing::Unaccounted) }
        };
        recipients.iter().map(account).collect()
    }

    /// The first word on a key that no log has, unless the log of the user it names says otherwise.
    fn word_on(&self, id: &RecipientId, logs: &dyn Logs) -> Option<(Uid, Standing)> {
        let claims = self.keys.get(&id.spki_hash()?)?;
        claims.iter().find(|(uid, _)| !logs.has(*uid)).copied()
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
        let accounted = accounting.account(&recipients(keys), &NoLogs);
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

    /// The logs of these users, with these keys.
    struct Known(Vec<(u8, Vec<u8>)>);

    impl Logs for Known {
        fn owner(&self, id: &RecipientId) -> Option<ListedRecipient> {
            let hash = id.spki_hash()?;
            let (user, _) =
                self.0.iter().find(|(_, keys)| keys.iter().any(|n| hash == SpkiHash([*n; 32])))?;
            Some(ListedRecipient { uid: uid(*user), root_key: hash })
        }

        fn has(&self, user: Uid) -> bool {
            self.0.iter().any(|(known, _)| uid(*known) == user)
        }
    }

    fn words(accounting: &Accounting, keys: &[u8], logs: Known) -> Vec<(Option<Uid>, Standing)> {
        let accounted = accounting.account(&recipients(keys), &logs);
        accounted.into_iter().map(|it| (it.uid, it.standing)).collect()
    }

    #[test]
    fn a_newer_generation_belongs_to_its_user() {
        let accounting = Accounting::new(&context(1, Purpose::Document, &[1]), &ORIGINAL, &[]);
        let found = words(&accounting, &[77, 78], Known(vec![(1, vec![1, 77])]));
        assert_eq!(found, [(Some(uid(1)), Standing::Listed), (None, Standing::Unaccounted)]);
    }

    #[test]
    fn a_log_outranks_what_is_said_of_a_key() {
        let accounting = Accounting::new(&context(1, Purpose::Document, &[1, 2]), &ORIGINAL, &[]);
        // The sender lists key 2 as user 2's. It is the key of user 9, whom nobody listed.
        let found = words(&accounting, &[2], Known(vec![(9, vec![2])]));
        assert_eq!(found, [(Some(uid(9)), Standing::Unaccounted)]);
        // It is nobody's that is known, and user 2's log, which is at hand, does not have it.
        let found = words(&accounting, &[2], Known(vec![(2, vec![22])]));
        assert_eq!(found, [(None, Standing::Unaccounted)]);
        // Of user 2 nothing is known: the sender's word counts.
        let found = words(&accounting, &[2], Known(vec![(1, vec![1])]));
        assert_eq!(found, [(Some(uid(2)), Standing::Listed)]);
    }

    #[test]
    fn every_key_has_a_standing_of_its_own() {
        // User 2 is listed with key 2; user 3 adds another key in the name of user 2, and one of user 4.
        let added = |key| ListedRecipient { uid: uid(2), root_key: SpkiHash([key; 32]) };
        let statement = SharingStatement::new(DocumentId([1; 16]), 1, ORIGINAL, vec![added(66), listed(4)]);
        let (purpose, form) = (Purpose::Share, Form::Statement);
        let recipients = vec![added(66), listed(4)];
        let share = DocumentContext::new(purpose, form, uid(3), DocumentId([1; 16]), 1, recipients);
        let statement = AttestedStatement::bind(statement.unwrap(), &share.unwrap()).unwrap();
        let accounting = Accounting::new(&context(1, Purpose::Document, &[1, 2, 3]), &ORIGINAL, &[statement]);
        let shared = Standing::SharedBy(uid(3));
        assert_eq!(standings(&accounting, &[2, 66, 4]), [Standing::Listed, shared, shared]);
        // Also when the log knows both keys as user 2's; and key 66 is no user's who is known to have others only.
        let found = words(&accounting, &[2, 66], Known(vec![(2, vec![2, 66])]));
        assert_eq!(found, [(Some(uid(2)), Standing::Listed), (Some(uid(2)), shared)]);
        let found = words(&accounting, &[2, 66], Known(vec![(2, vec![2])]));
        assert_eq!(found, [(Some(uid(2)), Standing::Listed), (None, Standing::Unaccounted)]);
    }

    #[test]
    fn a_key_claimed_by_another_still_lists_its_owner() {
        // User 1 may share and claims the key of user 5 as its own, before user 5 is added properly.
        let claim = vec![ListedRecipient { uid: uid(1), root_key: SpkiHash([5; 32]) }];
        let statement_of = |signer, added: Vec<ListedRecipient>| {
            let statement = SharingStatement::new(DocumentId([1; 16]), 1, ORIGINAL, added.clone()).unwrap();
            let (purpose, form) = (Purpose::Share, Form::Statement);
            let share = DocumentContext::new(purpose, form, uid(signer), DocumentId([1; 16]), 1, added);
            AttestedStatement::bind(statement, &share.unwrap()).unwrap()
        };
        let statements = [statement_of(1, claim), statement_of(2, vec![listed(5)])];
        let accounting = Accounting::new(&context(2, Purpose::Document, &[1, 2]), &ORIGINAL, &statements);
        assert!(accounting.lists(&[listed(5)]));
        let found = words(&accounting, &[5], Known(vec![(5, vec![5])]));
        assert_eq!(found, [(Some(uid(5)), Standing::SharedBy(uid(2)))]);
        let accounted = accounting.account(&recipients(&[5, 78]), &NoLogs);
        assert_eq!(unaccounted(&accounted), (BTreeSet::new(), 1));
    }
}
