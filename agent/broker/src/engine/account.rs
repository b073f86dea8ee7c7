//! Accounting for every recipient of an envelope: listed by the sender, or added by someone who may (FORMATS §4).

use std::collections::{BTreeMap, BTreeSet};

use life_envelope::accounting::{AccountedRecipient, Accounting, AttestedStatement, Logs, Standing};
use life_envelope::signature::Signed;
use life_envelope::{Envelope, Form, ListedRecipient, OwnKey, Purpose, RecipientId, SignedData, Verified};
use life_pki::account_log::AccountState;
use life_pki::receipt::Receipt;
use life_pki::{SpkiHash, Uid};
use life_proto::v1::{self, TrustState, recipient::Origin};

use super::judge::judge;
use crate::clock;
use crate::error::{Error, Fault, Result};
use crate::identities::Identity;
use crate::names;

/// An envelope's recipients, accounted for.
pub struct Account {
    /// Who may be a recipient, on whose word.
    pub accounting: Accounting,
    /// The recipients of the envelope.
    pub recipients: Vec<AccountedRecipient>,
    own: Vec<OwnKey>,
}

/// As many strangers are looked up to judge one envelope: sharers, and owners of keys not met yet.
const MOST_STRANGERS: usize = 16;

/// Accounts for the recipients of a signed content. `original` is the SHA-256 of its SignedData message. Where a
/// sharer is named, nobody else's statements count.
///
/// A sharing statement that cannot be proven counts as none; only where somebody is left unaccounted for is it told
/// what stood against its proof.
///
/// # Errors
/// As [`judge`], for the signers of sharing statements, and of accounts whose log has to be looked up.
pub async fn account(
    identity: &Identity,
    envelope: &Envelope<'_>,
    verified: &Verified,
    original: &[u8; 32],
    sharer: Option<Uid>,
) -> Result<Account> {
    let mut open: Vec<(Uid, SignedData<'_>)> = envelope
        .statements()
        .iter()
        .filter_map(|der| SignedData::parse(der).ok())
        .filter_map(|signed| Some((signed.claimed_attributes().ok()?.context().sender(), signed)))
        .filter(|(sender, _)| sharer.is_none_or(|only| *sender == only))
        .collect();
    let receipts = Receipts::of(identity, envelope)?;
    let (mut attested, mut doubt, mut strangers) = (Vec::new(), None, 0);
    let accounting = loop {
        let accounting = Accounting::new(verified.context(), original, &attested);
        // Only who may share is heard, and looked up.
        let Some(next) = open.iter().position(|(sender, _)| accounting.may_share(*sender)) else {
            break accounting;
        };
        let (sender, signed) = open.swap_remove(next);
        if sender != identity.uid && identity.directory.known(sender).await.is_none() {
            strangers += 1;
            if strangers > MOST_STRANGERS {
                continue;
            }
        }
        match attest(identity, &signed, &receipts).await {
            Ok(statement) => attested.extend(statement),
            Err(error) => doubt = doubt.or(Some(error)),
        }
    };
    let logs = Known::gather(identity, envelope, &accounting, &mut doubt).await?;
    let recipients = accounting.account(envelope.recipients(), &logs);
    let unaccounted = recipients.iter().any(|recipient| recipient.standing == Standing::Unaccounted);
    match doubt {
        Some(error) if unaccounted => Err(error),
        Some(error) => {
            tracing::info!(%error, "a sharing statement or a key was passed over");
            Ok(Account { accounting, recipients, own: logs.own })
        }
        None => Ok(Account { accounting, recipients, own: logs.own }),
    }
}

/// The receipts that an envelope carries, by the signature each is about; the earliest where several are about one.
pub struct Receipts<'a>(BTreeMap<[u8; 32], &'a [u8]>);

impl<'a> Receipts<'a> {
    /// Those of an envelope that verify.
    pub fn of(identity: &Identity, envelope: &'a Envelope<'_>) -> Result<Self> {
        let now = clock::now()?;
        let root = &identity.binding.bundle.server_root;
        let mut good: Vec<_> = envelope
            .statement_receipts()
            .iter()
            .filter_map(|der| Some((Receipt::verify(der, root, now).ok()?, der.as_slice())))
            .collect();
        good.sort_by_key(|(receipt, _)| std::cmp::Reverse(receipt.time));
        Ok(Self(good.into_iter().map(|(receipt, der)| (receipt.signature_digest, der)).collect()))
    }

    /// The one over a signature, given the SHA-256 of its value.
    pub fn over(&self, signature_digest: &[u8; 32]) -> Option<&'a [u8]> {
        self.0.get(signature_digest).copied()
    }
}

/// Verifies one sharing statement.
async fn attest(
    identity: &Identity,
    signed: &SignedData<'_>,
    receipts: &Receipts<'_>,
) -> Result<Option<AttestedStatement>> {
    let receipt = receipts.over(&signed.signature_digest());
    let judgement =
        judge(identity, signed, Signed::Enclosed, Purpose::Share, Form::Statement, receipt).await?;
    let content = signed.content().unwrap_or_default();
    Ok(judgement
        .verified
        .as_ref()
        .filter(|_| judgement.is_valid())
        .and_then(|verified| AttestedStatement::new(verified, content).ok()))
}

/// The account logs of the users listed, as far as they are known here, and one's own.
struct Known {
    own: Vec<OwnKey>,
    reader: Uid,
    owners: BTreeMap<SpkiHash, Uid>,
    users: BTreeSet<Uid>,
}

impl Known {
    /// # Errors
    /// The faults of one's own account. Where a log lacks a key that is said to be its user's, it is looked up again,
    /// since it may have grown; what stands against that is a doubt.
    async fn gather(
        identity: &Identity,
        envelope: &Envelope<'_>,
        accounting: &Accounting,
        doubt: &mut Option<Error>,
    ) -> Result<Self> {
        let account = identity.directory.own().await?;
        let mut known = Self {
            own: identity.keys_of(&account),
            reader: identity.uid,
            owners: BTreeMap::new(),
            users: BTreeSet::new(),
        };
        known.add(identity.uid, &account);
        for uid in accounting.users().filter(|uid| *uid != identity.uid) {
            if let Some(account) = identity.directory.known(uid).await {
                known.add(uid, &account);
            }
        }
        let keys = envelope.recipients().iter().filter_map(|info| info.id().spki_hash());
        let missing: BTreeSet<SpkiHash> = keys.filter(|key| !known.owners.contains_key(key)).collect();
        let strange: BTreeSet<Uid> = missing
            .iter()
            .flat_map(|key| accounting.claimed(*key))
            .filter(|uid| *uid != identity.uid && known.users.contains(uid))
            .collect();
        for uid in strange.into_iter().take(MOST_STRANGERS) {
            match identity
                .directory
                .account_with(uid, |it| it.roots().any(|root| missing.contains(&root.spki_hash)))
                .await
            {
                Ok(account) => known.add(uid, &account),
                Err(error) => *doubt = doubt.take().or(Some(error.with("user", names::user(&uid)))),
            }
        }
        Ok(known)
    }

    fn add(&mut self, uid: Uid, account: &AccountState) {
        self.owners.extend(account.roots().map(|root| (root.spki_hash, uid)));
        self.users.insert(uid);
    }
}

impl Logs for Known {
    fn owner(&self, id: &RecipientId) -> Option<ListedRecipient> {
        let named = |key: &&OwnKey| match id {
            RecipientId::KeyId(hash) => hash == key.hash.0.as_slice(),
            RecipientId::IssuerSerial { issuer, serial } => {
                key.issuer_serial.as_ref().is_some_and(|(i, s)| i == issuer && s == serial)
            }
        };
        if let Some(own) = self.own.iter().find(named) {
            return Some(ListedRecipient { uid: self.reader, root_key: own.hash });
        }
        let root_key = id.spki_hash()?;
        self.owners.get(&root_key).map(|uid| ListedRecipient { uid: *uid, root_key })
    }

    fn has(&self, user: Uid) -> bool {
        self.users.contains(&user)
    }
}

impl Account {
    /// Checks that the reader was meant and that everybody who can open the content is accounted for.
    ///
    /// # Errors
    /// RECIPIENT_MISMATCH, RECIPIENT_UNACCOUNTED.
    pub fn check(&self, identity: &Identity) -> Result<(), Fault> {
        let own: Vec<_> =
            self.own.iter().map(|key| ListedRecipient { uid: identity.uid, root_key: key.hash }).collect();
        if !self.accounting.lists(&own) {
            return Err(Fault::RecipientMismatch);
        }
        if self.recipients.iter().any(|recipient| recipient.standing == Standing::Unaccounted) {
            return Err(Fault::RecipientUnaccounted);
        }
        Ok(())
    }

    /// What the contract says of them.
    pub async fn to_wire(&self, identity: &Identity) -> Vec<v1::Recipient> {
        let mut recipients = Vec::with_capacity(self.recipients.len());
        for recipient in &self.recipients {
            let trust = match recipient.uid {
                Some(uid) => identity.directory.trust(uid).await,
                None => TrustState::Unspecified,
            };
            recipients.push(to_wire(recipient, trust));
        }
        recipients
    }
}

fn to_wire(recipient: &AccountedRecipient, trust: TrustState) -> v1::Recipient {
    let (origin, shared_by) = match recipient.standing {
        Standing::Listed => (Origin::Signed, String::new()),
        Standing::SharedBy(uid) => (Origin::Shared, names::user(&uid)),
        Standing::Unaccounted => (Origin::Unaccounted, String::new()),
    };
    v1::Recipient {
        user: recipient.uid.as_ref().map(names::user).unwrap_or_default(),
        root_key_hash: recipient.id.spki_hash().map(|hash| hash.0.to_vec()).unwrap_or_default().into(),
        origin: origin.into(),
        shared_by,
        trust: trust.into(),
    }
}

/// The recipients of an envelope without a signature: nobody vouches for any.
pub fn unaccounted(envelope: &Envelope<'_>) -> Vec<v1::Recipient> {
    envelope
        .recipients()
        .iter()
        .map(|info| {
            let (id, standing) = (info.id().clone(), Standing::Unaccounted);
            to_wire(&AccountedRecipient { id, uid: None, standing }, TrustState::Unspecified)
        })
        .collect()
}
