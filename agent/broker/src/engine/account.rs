//! Accounting for every recipient of an envelope: listed by the sender, or added by someone who may (FORMATS §4).

use std::collections::{BTreeMap, BTreeSet};

use life_envelope::accounting::{AccountedRecipient, Accounting, AttestedStatement, Logs, Standing};
use life_envelope::signature::Signed;
use life_envelope::{Envelope, Form, ListedRecipient, OwnKey, Purpose, RecipientId, SignedData, Verified};
use life_pki::account_log::AccountState;
use life_pki::{SpkiHash, Uid};
use life_proto::v1::{self, recipient::Origin};

use super::judge::judge;
use crate::error::{Fault, Result};
use crate::identities::Identity;
use crate::names;

/// An envelope's recipients, accounted for.
pub struct Account {
    /// Who may be a recipient, on whose word.
    pub accounting: Accounting,
    /// The recipients of the envelope.
    pub recipients: Vec<AccountedRecipient>,
}

/// Accounts for the recipients of a signed content. `original` is the SHA-256 of its SignedData message.
///
/// # Errors
/// As [`judge`], for the signers of sharing statements, and of accounts whose log has to be looked up.
pub async fn account(
    identity: &Identity,
    envelope: &Envelope<'_>,
    verified: &Verified,
    original: &[u8; 32],
) -> Result<Account> {
    let mut attested = Vec::new();
    for statement in envelope.statements() {
        attested.extend(attest(identity, statement).await?);
    }
    let accounting = Accounting::new(verified.context(), original, &attested);
    let logs = Known::gather(identity, envelope, &accounting).await?;
    let recipients = accounting.account(envelope.recipients(), &logs);
    Ok(Account { accounting, recipients })
}

/// Verifies one sharing statement; one that is no proof counts as none.
async fn attest(identity: &Identity, statement: &[u8]) -> Result<Option<AttestedStatement>> {
    let Ok(signed) = SignedData::parse(statement) else { return Ok(None) };
    let judgement = judge(identity, &signed, Signed::Enclosed, Purpose::Share, Form::Statement, None).await?;
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
    /// The faults of an account whose log lacks a key that is said to be its user's: the log is looked up again then,
    /// since it may have grown.
    async fn gather(identity: &Identity, envelope: &Envelope<'_>, accounting: &Accounting) -> Result<Self> {
        let mut known = Self {
            own: identity.own_keys(),
            reader: identity.uid,
            owners: BTreeMap::new(),
            users: BTreeSet::new(),
        };
        known.add(identity.uid, &identity.root.account);
        for uid in accounting.users().filter(|uid| *uid != identity.uid) {
            if let Some(account) = identity.directory.known(uid).await {
                known.add(uid, &account);
            }
        }
        let keys = envelope.recipients().iter().filter_map(|info| info.id().spki_hash());
        let strange: BTreeSet<Uid> = keys
            .filter(|key| !known.owners.contains_key(key))
            .flat_map(|key| accounting.claimed(key))
            .filter(|uid| *uid != identity.uid && known.users.contains(uid))
            .collect();
        for uid in strange {
            let found = identity.directory.look_up(uid).await;
            known.add(uid, &found.map_err(|error| error.with("user", names::user(&uid)))?.account);
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
        let own: Vec<_> = identity
            .root
            .account
            .roots()
            .map(|root| ListedRecipient { uid: identity.uid, root_key: root.spki_hash })
            .collect();
        if !self.accounting.lists(&own) {
            return Err(Fault::RecipientMismatch);
        }
        if self.recipients.iter().any(|recipient| recipient.standing == Standing::Unaccounted) {
            return Err(Fault::RecipientUnaccounted);
        }
        Ok(())
    }

    /// What the contract says of them.
    pub fn to_wire(&self) -> Vec<v1::Recipient> {
        self.recipients.iter().map(to_wire).collect()
    }
}

fn to_wire(recipient: &AccountedRecipient) -> v1::Recipient {
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
    }
}

/// The recipients of an envelope without a signature: nobody vouches for any.
pub fn unaccounted(envelope: &Envelope<'_>) -> Vec<v1::Recipient> {
    envelope
        .recipients()
        .iter()
        .map(|info| {
            to_wire(&AccountedRecipient { id: info.id().clone(), uid: None, standing: Standing::Unaccounted })
        })
        .collect()
}
