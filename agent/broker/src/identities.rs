//! The unlocked identities, and on whose behalf a request acts.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use life_envelope::{ListedRecipient, OwnKey};
use life_pki::account_log::{AccountState, CredentialId};
use life_pki::chain::{self, Purpose, Revocation, RevocationList};
use life_pki::{Certificate, KeySlot, PublicKey, Timestamp, Uid};
use life_proto::v1::{self, locked::Cause};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::directory::Directory;
use crate::error::{Fault, Result};
use crate::events::Events;
use crate::names;
use crate::platform::{Binding, Client};
use crate::unlock::own_chain_fault;
use crate::unlockings::Unlockings;
use crate::upstream::Upstream;
use crate::vault::Session;

/// A user whose working and root credential are open in the vault.
pub struct Identity {
    /// The user.
    pub uid: Uid,
    /// What stands for the user in logs.
    pub handle: u64,
    /// The working credential's id in the account log.
    pub credential_id: [u8; 16],
    /// The working credential's kind.
    pub kind: v1::CredentialKind,
    /// The keys in the vault.
    pub session: Arc<Session>,
    /// Signs for the user.
    pub signature_certificate: Certificate,
    /// What goes into a signature: the signer's certificate, then its issuers without the root.
    pub signature_chain: Vec<Vec<u8>>,
    /// The root credential.
    pub root: Root,
    /// The platform, connected as the user.
    pub client: Client,
    /// Which platform that is.
    pub binding: Arc<Binding>,
    /// The users this one knows.
    pub directory: Directory,
    /// When the user was unlocked.
    pub unlocked: SystemTime,
    /// When the first certificate of the credential expires.
    pub expires: Timestamp,
    /// Ends everything that runs on the user's behalf.
    pub locked: CancellationToken,
    /// The server that apps call in the user's name.
    pub upstream: Upstream,
    /// The revocation list that the signer's certificate was last found good by.
    pub signing: Mutex<Option<Arc<RevocationList>>>,
}

/// A user's own root credential: what is public of it.
pub struct Root {
    /// Its generation.
    pub generation: u32,
    /// Its key.
    pub key: PublicKey,
    /// Its certificate.
    pub certificate: Certificate,
    /// The certificates that issued it, the root last.
    pub issuers: Vec<Vec<u8>>,
    /// The account as its log had it at the unlocking.
    pub account: AccountState,
}

impl Identity {
    /// Does something on the user's behalf, until the user is locked.
    ///
    /// # Errors
    /// CREDENTIAL_LOCKED as soon as that happens; else what the work gives.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.locked.cancelled() => Err(Fault::CredentialLocked.because("it was locked while the call ran")),
            done = work => done,
        }
    }

    /// The names under which an envelope may have the user's root credential.
    pub fn own_keys(&self) -> Vec<OwnKey> {
        self.keys_of(&self.root.account)
    }

    /// The same for the account as it is by now.
    pub fn keys_of(&self, account: &AccountState) -> Vec<OwnKey> {
        let certificate = &self.root.certificate;
        let issuer_serial = Some((certificate.issuer_der().to_vec(), certificate.serial().to_vec()));
        let current = self.root.key.hash();
        account
            .roots()
            .map(|root| OwnKey {
                hash: root.spki_hash,
                issuer_serial: issuer_serial.clone().filter(|_| root.spki_hash == current),
            })
            .collect()
    }

    /// Checks that the user may sign now: the credential's certificates are valid, the one that signs is not revoked by
    /// a list that is current, and the credential is live in the account log as last seen.
    ///
    /// # Errors
    /// CREDENTIAL_EXPIRED, CREDENTIAL_REVOKED, PLATFORM_UNAVAILABLE while no current revocation list is at hand
    /// (FORMATS §7: with a stale one, one may decrypt and not sign).
    pub async fn check_signing(&self) -> Result<()> {
        let now = clock::now()?;
        if now > self.expires {
            return Err(Fault::CredentialExpired.into());
        }
        let crl = self.directory.crl().await?;
        if !crl.is_current(now) {
            let why = "no current revocation list is at hand, and without one nothing is signed";
            return Err(Fault::PlatformUnavailable.because(why));
        }
        let account = self.directory.own().await?;
        if account.live_credential(&CredentialId(self.credential_id)).is_none() {
            return Err(Fault::CredentialRevoked.into());
        }
        let checked =
            |kept: &Option<Arc<RevocationList>>| kept.as_ref().is_some_and(|it| Arc::ptr_eq(it, &crl));
        if checked(&self.signing.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let path = self.signature_chain.get(1..).unwrap_or_default();
        let (root, revocation) =
            (&self.binding.bundle.user_root, Revocation::Crls { crls: &[crl.der()], now });
        let slot = Purpose::Slot(KeySlot::Signature);
        chain::verify(self.signature_certificate.der(), path, root, revocation, now, slot)
            .map_err(own_chain_fault)?;
        *self.signing.lock().unwrap_or_else(PoisonError::into_inner) = Some(crl);
        Ok(())
    }

    /// The user as a signature lists recipients.
    pub fn as_recipient(&self) -> ListedRecipient {
        ListedRecipient { uid: self.uid, root_key: self.root.key.hash() }
    }

    /// What the contract says of it.
    pub fn to_wire(&self) -> v1::UnlockedIdentity {
        v1::UnlockedIdentity {
            user: names::user(&self.uid),
            credential_kind: self.kind.into(),
            credential: names::credential(&self.uid, &self.credential_id),
            state: v1::UnlockState::Unlocked.into(),
            unlock_time: Some(self.unlocked.into()),
            expire_time: Some(clock::wire(self.expires)),
            generation: self.root.generation,
        }
    }
}

/// All unlocked identities.
pub struct Identities {
    /// Who is about to be one.
    pub unlockings: Unlockings,
    events: Arc<Events>,
    map: Mutex<Map>,
    handles: AtomicU64,
}

/// Users whose lockings are remembered one by one; beyond that a locking counts for everybody.
const REMEMBERED: usize = 1024;

#[derive(Default)]
struct Map {
    identities: BTreeMap<Uid, Arc<Identity>>,
    /// Counts lockings.
    count: u64,
    /// The count when everything was locked last.
    all: u64,
    /// The count when a user was locked last, where that was after everything was.
    single: BTreeMap<Uid, u64>,
}

impl Map {
    /// Notes that a user is locked, unlocked before or not.
    fn note(&mut self, uid: Uid) {
        if self.single.len() >= REMEMBERED && !self.single.contains_key(&uid) {
            return self.note_all();
        }
        self.count += 1;
        self.single.insert(uid, self.count);
    }

    fn note_all(&mut self) {
        self.count += 1;
        self.all = self.count;
        self.single.clear();
    }

    /// Whether the user was locked since.
    fn locked_since(&self, uid: Uid, began: Epoch) -> bool {
        self.all.max(self.single.get(&uid).copied().unwrap_or_default()) > began.0
    }

    fn check_still_wanted(&self, uid: Uid, began: Epoch) -> Result<()> {
        if self.locked_since(uid, began) {
            return Err(Fault::CredentialLocked.because("the user was locked meanwhile"));
        }
        Ok(())
    }
}

/// The moment an unlocking began; one that its user was locked after comes to nothing.
#[derive(Clone, Copy)]
pub struct Epoch(u64);

impl Identities {
    /// None yet.
    pub fn new(events: Arc<Events>) -> Self {
        Self { unlockings: Unlockings::default(), events, map: Mutex::default(), handles: AtomicU64::new(1) }
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present moment, to begin an unlocking in.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.map().count)
    }

    /// A fresh handle for logs.
    pub fn next_handle(&self) -> u64 {
        self.handles.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether another user could be unlocked.
    ///
    /// # Errors
    /// TOO_MANY_IDENTITIES.
    pub fn check_room(&self, limit: usize, uid: Option<Uid>) -> Result<()> {
        let map = self.map();
        let replaces = uid.is_some_and(|uid| map.identities.contains_key(&uid));
        if map.identities.len() < limit || replaces { Ok(()) } else { Err(Fault::TooManyIdentities.into()) }
    }

    /// Checks that a user who is being unlocked was not locked meanwhile.
    ///
    /// # Errors
    /// CREDENTIAL_LOCKED.
    pub fn check_still_wanted(&self, uid: Uid, began: Epoch) -> Result<()> {
        self.map().check_still_wanted(uid, began)
    }

    /// Adds an identity; one of the same user is locked.
    ///
    /// # Errors
    /// CREDENTIAL_LOCKED when the user, or everybody, was locked meanwhile, TOO_MANY_IDENTITIES.
    pub fn insert(&self, identity: Arc<Identity>, began: Epoch, limit: usize) -> Result<()> {
        let replaced = {
            let mut map = self.map();
            map.check_still_wanted(identity.uid, began)?;
            if map.identities.len() >= limit && !map.identities.contains_key(&identity.uid) {
                return Err(Fault::TooManyIdentities.into());
            }
            map.identities.insert(identity.uid, identity.clone())
        };
        if let Some(replaced) = replaced {
            self.end(&replaced, Cause::Replaced);
        }
        tracing::info!(identity = identity.handle, "unlocked");
        self.events.unlocked(identity.uid, identity.kind);
        Ok(())
    }

    /// The identity that a field of a request names, or the only one when it is empty.
    ///
    /// # Errors
    /// INVALID_ARGUMENT, and as [`Identities::select`].
    pub fn named(&self, field: &'static str, text: &str) -> Result<Arc<Identity>> {
        self.select(names::parse_optional_user(field, text)?)
    }

    /// The identity a request names, or the only one.
    ///
    /// # Errors
    /// CREDENTIAL_LOCKED or IDENTITY_AMBIGUOUS.
    pub fn select(&self, uid: Option<Uid>) -> Result<Arc<Identity>> {
        let map = self.map();
        if let Some(uid) = uid {
            return map.identities.get(&uid).cloned().ok_or_else(|| Fault::CredentialLocked.into());
        }
        let mut all = map.identities.values();
        match (all.next(), all.next()) {
            (Some(identity), None) => Ok(identity.clone()),
            (None, _) => Err(Fault::CredentialLocked.because("nobody is unlocked")),
            _ => Err(Fault::IdentityAmbiguous.into()),
        }
    }

    /// All of them, ordered by user.
    pub fn list(&self) -> Vec<Arc<Identity>> {
        self.map().identities.values().cloned().collect()
    }

    /// Notes that the vault is about to wipe a user's keys, and ends what is under way to unlock it; returns whether it was
    /// unlocked.
    pub fn forget(&self, uid: Uid, cause: Cause) -> bool {
        let removed = {
            let mut map = self.map();
            map.note(uid);
            map.identities.remove(&uid)
        };
        self.unlockings.end(Some(uid), Fault::CredentialLocked);
        if let Some(identity) = &removed {
            identity.session.forget();
            self.end(identity, cause);
        }
        removed.is_some()
    }

    /// Notes that the vault has wiped everything, or is about to, and ends every unlocking; returns how many there were.
    pub fn forget_all(&self, cause: Cause) -> usize {
        let removed = {
            let mut map = self.map();
            map.note_all();
            std::mem::take(&mut map.identities)
        };
        let why = if cause == Cause::VaultLost { Fault::VaultUnavailable } else { Fault::CredentialLocked };
        self.unlockings.end(None, why);
        for identity in removed.values() {
            identity.session.forget();
            self.end(identity, cause);
        }
        removed.len()
    }

    fn end(&self, identity: &Identity, cause: Cause) {
        identity.locked.cancel();
        tracing::info!(identity = identity.handle, cause = cause.as_str_name(), "locked");
        self.events.locked(identity.uid, cause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlocking_comes_to_nothing_when_its_user_or_everybody_is_locked_meanwhile() {
        let identities = Identities::new(Arc::default());
        let [one, two] = [1, 2].map(|n| Uid::from_random([n; 16]));
        let began = identities.epoch();
        assert!(!identities.forget(one, Cause::Requested));
        assert!(identities.map().locked_since(one, began));
        assert!(!identities.map().locked_since(two, began));
        let began = identities.epoch();
        assert!(!identities.map().locked_since(one, began));
        identities.forget_all(Cause::Requested);
        assert!(identities.map().locked_since(one, began) && identities.map().locked_since(two, began));

        // However many are locked, the memory has an end and nobody is forgotten.
        let began = identities.epoch();
        for n in 0..=u16::try_from(REMEMBERED).unwrap() {
            let mut random = [0; 16];
            random[..2].copy_from_slice(&n.to_be_bytes());
            identities.forget(Uid::from_random(random), Cause::Requested);
        }
        assert!(identities.map().single.len() <= REMEMBERED);
        assert!(identities.map().locked_since(Uid::from_random([0; 16]), began));
    }
}
