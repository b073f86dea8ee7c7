//! Other users, as one identity knows them: looked up, verified, pinned (FORMATS §7).

mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use life_pki::account_log::{self, AccountState, Pin, PinError};
use life_pki::chain::{self, ChainError, Purpose, Revocation, RevocationList};
use life_pki::{Certificate, KeySlot, Timestamp, Uid};
use life_proto::v1::TrustState;

use crate::agent::{Agent, Shared};
use crate::clock;
use crate::error::{Error, Fault, Result};
use crate::platform::{Account, Binding, Client};
use crate::unlock::without_root;
use crate::vault::Session;
use store::{Peer, Pins, Store};

/// How exactly the last contact with a user is kept, in seconds: each note of it is a file written.
const CONTACT_STEP: i64 = 3600;

/// A user whose account was verified.
#[derive(Clone)]
pub struct Known {
    /// The account as its log has it.
    pub account: AccountState,
    /// The root credential's certificate.
    pub certificate: Certificate,
    /// The certificates that issued it, the root last.
    pub issuers: Vec<Vec<u8>>,
    /// When the account was pinned.
    pub first_seen: Timestamp,
    /// How well it is known.
    pub trust: TrustState,
}

impl Known {
    /// The short fingerprint.
    pub fn fingerprint(&self) -> String {
        account_log::fingerprint(&self.account.genesis())
    }
}

/// What the platform last showed of a user, or what is pinned.
#[derive(Clone)]
struct Seen {
    account: AccountState,
    /// The root credential's certificate, or why there is none to encrypt to.
    root: Result<Certificate>,
    issuers: Vec<Vec<u8>>,
    first_seen: Timestamp,
    /// The last contact, where the platform did not answer this time.
    offline: Option<Timestamp>,
    since: Instant,
}

/// The users that one identity knows.
pub struct Directory {
    shared: Arc<Shared>,
    uid: Uid,
    session: Arc<Session>,
    client: Client,
    binding: Arc<Binding>,
    store: Store,
    /// Changes are made one after the other, each on disk before it counts.
    pins: tokio::sync::Mutex<Pins>,
    /// What was seen lately.
    cache: Mutex<BTreeMap<Uid, Seen>>,
    /// One's own account, and when the platform was last asked for it.
    own: Mutex<Option<(AccountState, Instant)>>,
}

impl Directory {
    /// Opens the pin store of an identity that is being unlocked.
    ///
    /// # Errors
    /// STATE_UNUSABLE.
    pub async fn open(
        agent: &Agent,
        uid: Uid,
        session: Arc<Session>,
        client: Client,
        binding: Arc<Binding>,
    ) -> Result<Self> {
        let store = Store::new(&agent.paths.state, uid);
        let pins = tokio::sync::Mutex::new(store.load(&session).await?);
        let shared = agent.shared();
        let (cache, own) = Default::default();
        Ok(Self { shared, uid, session, client, binding, store, pins, cache, own })
    }

    fn cache(&self) -> MutexGuard<'_, BTreeMap<Uid, Seen>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh(&self) -> Duration {
        self.shared.config().directory.refresh_seconds.duration()
    }

    /// The revocation list, as fresh as what is known of users.
    ///
    /// # Errors
    /// PLATFORM_UNAVAILABLE when there is none yet.
    pub async fn crl(&self) -> Result<Arc<RevocationList>> {
        self.binding.crl(self.refresh()).await
    }

    /// Checks that one's own log extends the pinned one, and pins it.
    ///
    /// # Errors
    /// ACCOUNT_LOG_FORKED, ACCOUNT_LOG_ROLLED_BACK.
    pub async fn check_own(&self, log: &[Vec<u8>]) -> Result<AccountState> {
        match self.pin_own(log).await {
            // The log may have grown, and been pinned by another call, since it was fetched.
            Err(error) if error.fault() == Fault::AccountLogRolledBack => {
                self.pin_own(&self.client.me().await?.log).await
            }
            checked => checked,
        }
    }

    async fn pin_own(&self, log: &[Vec<u8>]) -> Result<AccountState> {
        let now = clock::now()?;
        let mut pins = self.pins.lock().await;
        let (account, pin) = match &pins.own {
            None => {
                let account = account_log::verify_for(self.uid, log, now)?;
                let pin = Pin::from_state(&account);
                (account, pin)
            }
            Some(pin) => match pin.extend(log, now) {
                // One's own account cannot have been reset: its keys opened this very pin store.
                Err(PinError::IdentityChanged) => return Err(Fault::AccountLogForked.into()),
                extended => extended?,
            },
        };
        if pins.own.as_ref() != Some(&pin) {
            pins.own = Some(pin);
            self.store.save(&self.session, &mut pins).await?;
        }
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some((account.clone(), Instant::now()));
        Ok(account)
    }

    /// One's own account, as fresh as what is known of others; as last seen when the platform does not show it.
    ///
    /// # Errors
    /// ACCOUNT_LOG_FORKED, ACCOUNT_LOG_ROLLED_BACK, ACCOUNT_LOG_INVALID.
    pub async fn own(&self) -> Result<AccountState> {
        let kept = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((account, since)) = kept else { return self.check_own(&self.client.me().await?.log).await };
        if since.elapsed() < self.refresh() {
            return Ok(account);
        }
        match self.client.me().await {
            Ok(me) => self.check_own(&me.log).await,
            Err(error) => {
                tracing::info!(%error, "one's own account was not shown");
                *self.own.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((account.clone(), Instant::now()));
                Ok(account)
            }
        }
    }

    /// A user to encrypt to: from the cache while that is fresh, else from the platform, else, when it does not
    /// answer, as pinned.
    ///
    /// # Errors
    /// As the Directory service.
    pub async fn find(&self, uid: Uid) -> Result<Known> {
        let seen = self.see(uid).await?;
        self.know(uid, seen).await
    }

    /// As [`Directory::find`], but asks the platform in any case.
    pub async fn look_up(&self, uid: Uid) -> Result<Known> {
        let seen = self.fetch(uid).await?;
        self.know(uid, seen).await
    }

    /// The account of a user who signed with a key, or is said to have a root key: the log and the pin count, whatever
    /// has become of the root credential's certificate.
    ///
    /// # Errors
    /// As the Directory service, but for RECIPIENT_UNTRUSTED; RECIPIENT_NOT_FOUND only for a stranger.
    pub async fn account_with(&self, uid: Uid, has: impl Fn(&AccountState) -> bool) -> Result<AccountState> {
        let seen = match self.see(uid).await {
            // The log may have grown since it was looked at.
            Ok(seen) if !has(&seen.account) => self.fetch(uid).await,
            seen => seen,
        };
        match seen {
            Err(error) if error.fault() == Fault::RecipientNotFound => self.known(uid).await.ok_or(error),
            seen => Ok(seen?.account),
        }
    }

    async fn know(&self, uid: Uid, seen: Seen) -> Result<Known> {
        let days = self.shared.config().directory.offline_days.0;
        if let Some(checked) = seen.offline
            && clock::now()? > checked.plus(days.saturating_mul(86_400))
        {
            let why = "it does not answer, and the user was not looked up for too long";
            return Err(Fault::PlatformUnavailable.because(why));
        }
        let Seen { account, root, issuers, first_seen, .. } = seen;
        let trust = self.trust(uid).await;
        Ok(Known { account, certificate: root?, issuers, first_seen, trust })
    }

    async fn see(&self, uid: Uid) -> Result<Seen> {
        let refresh = self.refresh();
        if let Some(seen) = self.cache().get(&uid)
            && seen.since.elapsed() < refresh
        {
            return Ok(seen.clone());
        }
        self.fetch(uid).await
    }

    async fn fetch(&self, uid: Uid) -> Result<Seen> {
        let pin = async || self.pins.lock().await.peers.get(&uid).map(|peer| peer.pin.clone());
        let before = pin().await;
        let seen = match self.fetch_once(uid).await {
            // The log may have grown, and been pinned by another call, between the answer and its check.
            Err(error) if error.fault() == Fault::AccountLogRolledBack && pin().await != before => {
                self.fetch_once(uid).await
            }
            seen => seen,
        }?;
        self.cache().insert(uid, seen.clone());
        Ok(seen)
    }

    async fn fetch_once(&self, uid: Uid) -> Result<Seen> {
        let found = match self.client.user(uid).await {
            Err(error) if error.fault() == Fault::PlatformUnavailable => {
                let pins = self.pins.lock().await;
                return pinned(pins.peers.get(&uid).ok_or(error)?);
            }
            found => found?,
        };
        let crl = self.crl().await;
        let now = clock::now()?;
        let mut pins = self.pins.lock().await;
        let before = pins.peers.get(&uid);
        let (account, pin) = match before {
            None => {
                let account = account_log::verify_for(uid, &found.log, now)?;
                let pin = Pin::from_state(&account);
                (account, pin)
            }
            // Too little of a log is not even one; of the one we know it is an old state.
            Some(peer) if found.log.len() < peer.log.len() && peer.log.starts_with(&found.log) => {
                return Err(Fault::AccountLogRolledBack.into());
            }
            Some(peer) => peer.pin.extend(&found.log, now)?,
        };
        let root = crl.and_then(|crl| self.judge_root(&account, &found, crl.der(), now));
        let first_seen = before.map_or(now, |peer| peer.first_seen);
        let mut peer = before.cloned().unwrap_or_else(|| Peer::first(pin.clone(), now));
        let old = now.unix() - peer.checked.unix() >= CONTACT_STEP;
        let mut changed = before.is_none() || peer.pin != pin || old;
        (peer.pin, peer.log) = (pin, found.log);
        if old {
            peer.checked = now;
        }
        if let Ok((certificate, issuers)) = &root
            && peer.certificate != certificate.der()
        {
            (peer.certificate, peer.issuers) = (certificate.der().to_vec(), issuers.clone());
            changed = true;
        }
        if changed {
            self.replace(&mut pins, uid, peer).await?;
        }
        let (root, issuers) = match root {
            Ok((certificate, issuers)) => (Ok(certificate), issuers),
            Err(error) => (Err(error), Vec::new()),
        };
        Ok(Seen { account, root, issuers, first_seen, offline: None, since: Instant::now() })
    }

    /// The account of a user as pinned, whatever its age; nothing for a stranger.
    pub async fn known(&self, uid: Uid) -> Option<AccountState> {
        if let Some(seen) = self.cache().get(&uid) {
            return Some(seen.account.clone());
        }
        let pins = self.pins.lock().await;
        let peer = pins.peers.get(&uid)?;
        peer.pin.extend(&peer.log, clock::now().ok()?).ok().map(|(account, _)| account)
    }

    /// How well a user is known: not yet told of is the first use, however long it is pinned.
    pub async fn trust(&self, uid: Uid) -> TrustState {
        if uid == self.uid {
            return TrustState::Confirmed;
        }
        match self.pins.lock().await.peers.get(&uid) {
            None => TrustState::Unspecified,
            Some(peer) if peer.confirmed => TrustState::Confirmed,
            Some(peer) if peer.reported => TrustState::Pinned,
            Some(_) => TrustState::FirstUse,
        }
    }

    /// Notes that a caller learns of the first use of these users: it is told once. What cannot be noted is told again.
    pub async fn told(&self, users: impl IntoIterator<Item = Uid>) {
        let mut pins = self.pins.lock().await;
        let mut changed = false;
        for uid in users {
            if let Some(peer) = pins.peers.get_mut(&uid)
                && !peer.reported
            {
                peer.reported = true;
                changed = true;
            }
        }
        if changed && let Err(error) = self.store.save(&self.session, &mut pins).await {
            tracing::warn!(%error, "a first use was told and could not be noted");
        }
    }

    /// Records that a person compared the fingerprint, or accepts an account that was reset. The certificate is judged
    /// when it is used. Gives the fingerprint as we write it.
    ///
    /// # Errors
    /// FINGERPRINT_MISMATCH, and as [`Directory::find`].
    pub async fn confirm(&self, uid: Uid, fingerprint: &str) -> Result<String> {
        let found = self.client.user(uid).await?;
        let now = clock::now()?;
        let mut pins = self.pins.lock().await;
        let account = account_log::verify_for(uid, &found.log, now)?;
        let pin = Pin::from_state(&account);
        let mut peer = match pins.peers.get(&uid) {
            None => Peer::first(pin, now),
            Some(peer) => match peer.pin.extend(&found.log, now) {
                Ok((_, pin)) => Peer { pin, ..peer.clone() },
                Err(PinError::IdentityChanged) => {
                    Peer { resets: peer.resets.saturating_add(1), ..Peer::first(pin, now) }
                }
                Err(error) => return Err(error.into()),
            },
        };
        let digits =
            |text: &str| text.chars().filter(|c| !matches!(c, ' ' | '-' | '\t' | '\n')).collect::<String>();
        if digits(&account_log::fingerprint(&account.genesis())) != digits(fingerprint) {
            return Err(Fault::FingerprintMismatch.into());
        }
        (peer.log, peer.confirmed, peer.reported, peer.checked) = (found.log, true, true, now);
        self.replace(&mut pins, uid, peer).await?;
        self.cache().remove(&uid);
        Ok(account_log::fingerprint(&account.genesis()))
    }

    /// Puts a peer in on disk first, then in memory.
    async fn replace(&self, pins: &mut Pins, uid: Uid, peer: Peer) -> Result<()> {
        let before = pins.peers.insert(uid, peer);
        if let Err(error) = self.store.save(&self.session, pins).await {
            match before {
                Some(before) => pins.peers.insert(uid, before),
                None => pins.peers.remove(&uid),
            };
            return Err(error);
        }
        Ok(())
    }

    /// Judges the root credential's certificate: by the CA, and by the account log, which counts. Gives the path to the
    /// root too, and nothing else of what the platform showed.
    fn judge_root(
        &self,
        account: &AccountState,
        found: &Account,
        crl: &[u8],
        now: Timestamp,
    ) -> Result<(Certificate, Vec<Vec<u8>>)> {
        let revocation = Revocation::Crls { crls: &[crl], now };
        let root = &self.binding.bundle.user_root;
        let purpose = Purpose::Slot(KeySlot::Root);
        let path = path_to_root(&found.root_certificate, &without_root(&found.issuers, &self.binding), root);
        let certificate = chain::verify(&found.root_certificate, &path, root, revocation, now, purpose)
            .map_err(recipient_fault)?;
        let fits = certificate.uid() == Some(account.uid())
            && certificate.public_key().hash() == account.current_root().spki_hash;
        if fits {
            Ok((certificate, [path, vec![root.der().to_vec()]].concat()))
        } else {
            Err(Fault::RecipientUntrusted.because("its key is not the one in the account log"))
        }
    }
}

/// Picks, by name, the certificates that lead from a leaf to the root: what the platform adds to them is dropped.
fn path_to_root(leaf: &[u8], candidates: &[Vec<u8>], root: &Certificate) -> Vec<Vec<u8>> {
    let candidates: Vec<_> = candidates.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut issuer = Certificate::from_der(leaf).map(|leaf| leaf.issuer_der().to_vec()).unwrap_or_default();
    while issuer != root.subject_der() && path.len() < chain::MAX_INTERMEDIATES {
        let next = candidates
            .iter()
            .find(|it| it.subject_der() == issuer && !path.iter().any(|der| der == it.der()));
        let Some(next) = next else { break };
        issuer = next.issuer_der().to_vec();
        path.push(next.der().to_vec());
    }
    path
}

fn recipient_fault(error: ChainError) -> Error {
    match error {
        ChainError::CrlStale => Fault::PlatformUnavailable.because(error.to_string()),
        _ => Fault::RecipientUntrusted.because(error.to_string()),
    }
}

/// A user as pinned, without asking the platform.
fn pinned(peer: &Peer) -> Result<Seen> {
    let now = clock::now()?;
    let (account, _) = peer.pin.extend(&peer.log, now)?;
    let root = match Certificate::from_der(&peer.certificate) {
        Ok(certificate) if certificate.public_key().hash() != account.current_root().spki_hash => {
            Err(Fault::RecipientUntrusted.because("its key is not the one in the account log"))
        }
        Ok(certificate) if certificate.not_after() < now => {
            Err(Fault::RecipientUntrusted.because("the certificate has expired"))
        }
        Ok(certificate) => Ok(certificate),
        Err(_) => Err(Fault::PlatformUnavailable.because("no certificate of the user was acceptable yet")),
    };
    let (issuers, first_seen) = (peer.issuers.clone(), peer.first_seen);
    Ok(Seen { account, root, issuers, first_seen, offline: Some(peer.checked), since: Instant::now() })
}
