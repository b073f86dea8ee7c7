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
    /// What was verified lately, and when.
    cache: Mutex<BTreeMap<Uid, (Known, Instant)>>,
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
        Ok(Self { shared, uid, session, client, binding, store, pins, cache: Mutex::default() })
    }

    fn cache(&self) -> MutexGuard<'_, BTreeMap<Uid, (Known, Instant)>> {
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
    pub async fn check_own(&self, log: &[Vec<u8>]) -> Result<()> {
        let now = clock::now()?;
        let mut pins = self.pins.lock().await;
        let pin = match &pins.own {
            None => Pin::from_state(&account_log::verify_for(self.uid, log, now)?),
            Some(pin) => match pin.extend(log, now) {
                // One's own account cannot have been reset: its keys opened this very pin store.
                Err(PinError::IdentityChanged) => return Err(Fault::AccountLogForked.into()),
                extended => extended?.1,
            },
        };
        if pins.own.as_ref() != Some(&pin) {
            pins.own = Some(pin);
            self.store.save(&self.session, &mut pins, None).await?;
        }
        Ok(())
    }

    /// A user: from the cache while that is fresh, else from the platform, else, when it does not answer, as pinned.
    ///
    /// # Errors
    /// As the Directory service.
    pub async fn find(&self, uid: Uid) -> Result<Known> {
        let refresh = self.refresh();
        if let Some((known, since)) = self.cache().get(&uid)
            && since.elapsed() < refresh
        {
            return Ok(known.clone());
        }
        self.look_up(uid).await
    }

    /// As [`Directory::find`], but asks the platform in any case.
    pub async fn look_up(&self, uid: Uid) -> Result<Known> {
        let found = match self.client.user(uid).await {
            Err(error) if error.fault() == Fault::PlatformUnavailable => {
                let pins = self.pins.lock().await;
                let known = pinned(pins.peers.get(&uid).ok_or(error)?)?;
                // Asked again after a while: each attempt may take as long as the time limit.
                self.remember(uid, &known);
                return Ok(known);
            }
            found => found?,
        };
        let crl = self.crl().await?;
        let now = clock::now()?;
        let mut pins = self.pins.lock().await;
        let (account, pin, before) = match pins.peers.get(&uid) {
            None => {
                let account = account_log::verify_for(uid, &found.log, now)?;
                let pin = Pin::from_state(&account);
                (account, pin, None)
            }
            // Too little of a log is not even one; of the one we know it is an old state.
            Some(peer) if found.log.len() < peer.log.len() && peer.log.starts_with(&found.log) => {
                return Err(Fault::AccountLogRolledBack.into());
            }
            Some(peer) => {
                let (account, pin) = peer.pin.extend(&found.log, now)?;
                let unchanged = peer.pin == pin;
                (account, pin, Some((peer.first_seen, peer.confirmed, unchanged)))
            }
        };
        let certificate = self.judge_root(&account, &found, crl.der(), now)?;
        let (first_seen, confirmed, unchanged) = before.unwrap_or((now, false, false));
        let trust = match (before, confirmed) {
            (None, _) => TrustState::FirstUse,
            (Some(_), false) => TrustState::Pinned,
            (Some(_), true) => TrustState::Confirmed,
        };
        let Account { log, root_certificate, issuers } = found;
        let known = Known { account, certificate, issuers: issuers.clone(), first_seen, trust };
        if !unchanged {
            let peer = Peer { pin, log, certificate: root_certificate, issuers, first_seen, confirmed };
            self.replace(&mut pins, uid, peer).await?;
        }
        self.remember(uid, &known);
        Ok(known)
    }

    /// The account of a user as pinned, whatever its age; nothing for a stranger.
    pub async fn known(&self, uid: Uid) -> Option<AccountState> {
        if let Some((known, _)) = self.cache().get(&uid) {
            return Some(known.account.clone());
        }
        let pins = self.pins.lock().await;
        let peer = pins.peers.get(&uid)?;
        peer.pin.extend(&peer.log, clock::now().ok()?).ok().map(|(account, _)| account)
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
        let first_seen =
            match pins.peers.get(&uid).map(|peer| (peer.pin.extend(&found.log, now), peer.first_seen)) {
                None | Some((Err(PinError::IdentityChanged), _)) => now,
                Some((Ok(_), first_seen)) => first_seen,
                Some((Err(error), _)) => return Err(error.into()),
            };
        let digits =
            |text: &str| text.chars().filter(|c| !matches!(c, ' ' | '-' | '\t' | '\n')).collect::<String>();
        if digits(&account_log::fingerprint(&account.genesis())) != digits(fingerprint) {
            return Err(Fault::FingerprintMismatch.into());
        }
        let Account { log, root_certificate: certificate, issuers } = found;
        let pin = Pin::from_state(&account);
        let peer = Peer { pin, log, certificate, issuers, first_seen, confirmed: true };
        self.replace(&mut pins, uid, peer).await?;
        self.cache().remove(&uid);
        Ok(account_log::fingerprint(&account.genesis()))
    }

    /// Puts a peer in on disk first, then in memory.
    async fn replace(&self, pins: &mut Pins, uid: Uid, peer: Peer) -> Result<()> {
        let before = pins.peers.insert(uid, peer);
        if let Err(error) = self.store.save(&self.session, pins, Some(uid)).await {
            match before {
                Some(before) => pins.peers.insert(uid, before),
                None => pins.peers.remove(&uid),
            };
            return Err(error);
        }
        Ok(())
    }

    fn remember(&self, uid: Uid, known: &Known) {
        let mut known = known.clone();
        if known.trust == TrustState::FirstUse {
            // The first use is told once.
            known.trust = TrustState::Pinned;
        }
        self.cache().insert(uid, (known, Instant::now()));
    }

    /// Judges the root credential's certificate: by the CA, and by the account log, which counts.
    fn judge_root(
        &self,
        account: &AccountState,
        found: &Account,
        crl: &[u8],
        now: Timestamp,
    ) -> Result<Certificate> {
        let revocation = Revocation::Crls { crls: &[crl], now };
        let path = without_root(&found.issuers, &self.binding);
        let root = &self.binding.bundle.user_root;
        let purpose = Purpose::Slot(KeySlot::Root);
        let certificate = chain::verify(&found.root_certificate, &path, root, revocation, now, purpose)
            .map_err(recipient_fault)?;
        let fits = certificate.uid() == Some(account.uid())
            && certificate.public_key().hash() == account.current_root().spki_hash;
        if fits {
            Ok(certificate)
        } else {
            Err(Fault::RecipientUntrusted.because("its key is not the one in the account log"))
        }
    }
}

fn recipient_fault(error: ChainError) -> Error {
    match error {
        ChainError::CrlStale => Fault::PlatformUnavailable.because(error.to_string()),
        _ => Fault::RecipientUntrusted.because(error.to_string()),
    }
}

/// A user as pinned, without asking the platform.
fn pinned(peer: &Peer) -> Result<Known> {
    let (account, _) = peer.pin.extend(&peer.log, clock::now()?)?;
    let certificate = Certificate::from_der(&peer.certificate)
        .map_err(|_| Fault::StateUnusable.because("the pin file is damaged"))?;
    if certificate.public_key().hash() != account.current_root().spki_hash {
        return Err(Fault::RecipientUntrusted.because("its key is not the one in the account log"));
    }
    let trust = if peer.confirmed { TrustState::Confirmed } else { TrustState::Pinned };
    Ok(Known { account, certificate, issuers: peer.issuers.clone(), first_seen: peer.first_seen, trust })
}
