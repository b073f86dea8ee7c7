//! Other users, as one identity knows them: looked up, verified, pinned (FORMATS §7).

mod fetch;
mod logs;
mod own;
mod pin_file;
mod pins;
mod root;
mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use life_pki::account_log::{self, AccountState, PinError};
use life_pki::chain::RevocationList;
use life_pki::{Certificate, Timestamp, Uid};
use life_proto::v1::TrustState;

use crate::agent::{Agent, Shared};
use crate::clock;
use crate::error::{Fault, Result};
use crate::platform::{Binding, Client};
use crate::vault::Session;
use pins::{Peer, Pins};
use store::Store;

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

    /// The account of a user as pinned, whatever its age; nothing for a stranger.
    pub async fn known(&self, uid: Uid) -> Option<AccountState> {
        if let Some(seen) = self.cache().get(&uid) {
            return Some(seen.account.clone());
        }
        let peer = self.pins.lock().await.peers.get(&uid)?.clone();
        let (verified, _) = logs::verify(uid, Some(&peer.pin), peer.log, clock::now().ok()?).await.ok()?;
        verified.ok().map(|(account, _)| account)
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
        // As it is by itself, and then as a history of what is known.
        let (verified, log) = logs::verify(uid, None, found.log, now).await?;
        let (account, pin) = verified?;
        let known = pins.peers.get(&uid);
        let (extended, log) = logs::verify(uid, known.map(|peer| &peer.pin), log, now).await?;
        let mut peer = match known {
            None => Peer::first(pin, now),
            Some(peer) => match extended {
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
        (peer.log, peer.confirmed, peer.reported, peer.checked) = (log, true, true, now);
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
}
