//! Which platform the agent is bound to. The first contact compares a fingerprint; from then on the bundle is pinned.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use life_pki::TrustBundle;
use life_pki::chain::{ChainError, RevocationList};
use serde::{Deserialize, Serialize};

use super::http::{Client, Told};
use super::origin::{Origin, parse_fingerprint};
use super::tls;
use crate::clock;
use crate::config;
use crate::error::{Error, Fault, Result};
use crate::events::Events;

/// How long an old revocation list does while the platform does not answer.
const PAUSE: Duration = Duration::from_secs(15);
/// How often somebody who watches events learns whether the platform answers.
const PROBE: Duration = Duration::from_secs(5);

/// The platform the agent is bound to.
pub struct Binding {
    /// Where it is.
    pub origin: Origin,
    /// Its two roots.
    pub bundle: TrustBundle,
    /// Connections at the anonymous level.
    pub anonymous: Client,
    /// What is kept of the revocation list.
    lists: Mutex<Lists>,
}

/// The newest revocation list that verified.
#[derive(Clone)]
struct Crl {
    list: Arc<RevocationList>,
    /// When the platform was last asked for a newer one.
    since: Instant,
}

#[derive(Default)]
struct Lists {
    crl: Option<Crl>,
    /// The certificates, below the root, of those who sign lists: as the platform names them, so each list is verified
    /// up to the root with them.
    authorities: Vec<Vec<u8>>,
}

impl Binding {
    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest revocation list seen, not older than `refresh` if the platform answers; whether it is current is for
    /// [`life_pki::chain`] to judge. Only one that verifies up to the user root takes the place of another, and never
    /// of a newer one.
    ///
    /// # Errors
    /// PLATFORM_UNAVAILABLE when there is none yet and the platform does not answer; PLATFORM_UNTRUSTED when what it
    /// shows does not verify and no current list is kept.
    pub async fn crl(&self, refresh: Duration) -> Result<Arc<RevocationList>> {
        let kept = self.lists().crl.clone();
        if let Some(Crl { list, since }) = &kept
            && since.elapsed() < refresh
        {
            return Ok(list.clone());
        }
        let error = match self.fetch_crl().await {
            Ok(list) => return Ok(self.keep(list)),
            Err(error) => error,
        };
        let Some(Crl { list, since }) = kept else { return Err(error) };
        if error.fault() != Fault::PlatformUnavailable {
            tracing::warn!(%error, "a revocation list is not acceptable");
            if !list.is_current(clock::now()?) {
                return Err(error);
            }
        }
        // Asked again after a while: each attempt may take as long as the time limit.
        let again = (since + PAUSE).max(Instant::now().checked_sub(refresh).unwrap_or(since) + PAUSE);
        let mut lists = self.lists();
        match &mut lists.crl {
            // Somebody else had more luck meanwhile.
            Some(crl) if !Arc::ptr_eq(&crl.list, &list) => Ok(crl.list.clone()),
            crl => {
                *crl = Some(Crl { list: list.clone(), since: again });
                Ok(list)
            }
        }
    }

    async fn fetch_crl(&self) -> Result<RevocationList> {
        let der = self.anonymous.crl().await?;
        let now = clock::now()?;
        let root = &self.bundle.user_root;
        let authorities = self.lists().authorities.clone();
        let mut verified = RevocationList::verify(&der, &authorities, root, now);
        if verified.as_ref().is_err_and(|error| *error == ChainError::Untrusted) {
            // Another authority may sign by now.
            let authorities = self.anonymous.issuers().await?;
            verified = RevocationList::verify(&der, &authorities, root, now);
            if verified.is_ok() {
                self.lists().authorities = authorities;
            }
        }
        verified.map_err(|error| {
            Fault::PlatformUntrusted.because(format!("its revocation list is not acceptable: {error}"))
        })
    }

    /// Keeps the newer of two lists.
    fn keep(&self, list: RevocationList) -> Arc<RevocationList> {
        let mut lists = self.lists();
        let list = match &lists.crl {
            Some(kept) if list.is_older_than(&kept.list) => {
                tracing::warn!("the platform shows an older revocation list than before");
                kept.list.clone()
            }
            _ => Arc::new(list),
        };
        lists.crl = Some(Crl { list: list.clone(), since: Instant::now() });
        list
    }
}

/// The platform, bound or not.
pub struct Platform {
    file: PathBuf,
    events: Arc<Events>,
    state: Mutex<State>,
    /// Held during the first contact, so that there is one.
    contact: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    config: config::Platform,
    binding: Option<Arc<Binding>>,
    /// Whether the last exchange worked, and when that was.
    up: Option<(bool, SystemTime)>,
}

/// The file `platform.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    origin: String,
    bundle: String,
}

impl Platform {
    /// Reads which platform the agent is bound to, if it is.
    ///
    /// # Errors
    /// STATE_UNUSABLE for a damaged file, PLATFORM_MISMATCH when the configuration names another platform.
    pub fn open(file: PathBuf, config: config::Platform, events: Arc<Events>) -> Result<Arc<Self>> {
        let platform = Arc::new(Self {
            file,
            events,
            state: Mutex::new(State { config, ..State::default() }),
            contact: tokio::sync::Mutex::new(()),
        });
        if let Some(stored) = platform.read()? {
            let unusable = || Fault::StateUnusable.because("platform.json is damaged");
            let origin = Origin::parse(&stored.origin).ok_or_else(unusable)?;
            let der = STANDARD.decode(&stored.bundle).map_err(|_| unusable())?;
            let bundle = TrustBundle::from_der(&der).map_err(|_| unusable())?;
            let (origin, moved) = platform.check_configured(origin, &bundle)?;
            platform.bind_to(origin, bundle, moved)?;
        }
        Ok(platform)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new configuration for connections made from now on.
    pub fn reload(&self, config: config::Platform) {
        self.state().config = config;
    }

    fn read(&self) -> Result<Option<Stored>> {
        let text = match std::fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::StateUnusable.because(format!("platform.json: {error}"))),
        };
        let stored: Stored = serde_json::from_slice(&text)
            .map_err(|_| Fault::StateUnusable.because("platform.json is damaged"))?;
        if stored.version != 1 {
            return Err(Fault::StateUnusable.because("platform.json is of a later version"));
        }
        Ok(Some(stored))
    }

    /// The configured origin wins over the stored one when the fingerprint is the same: the platform moved.
    fn check_configured(&self, stored: Origin, bundle: &TrustBundle) -> Result<(Origin, bool)> {
        let state = self.state();
        let Some(fingerprint) = state.config.ca_fingerprint.as_deref().and_then(parse_fingerprint) else {
            return Ok((stored, false));
        };
        if fingerprint != fingerprint_of(bundle)? {
            return Err(Fault::PlatformMismatch.into());
        }
        match state.config.origin.as_deref().and_then(Origin::parse) {
            Some(origin) if origin != stored => Ok((origin, true)),
            _ => Ok((stored, false)),
        }
    }

    /// The platform, after the first contact with the configured one where there was none yet.
    ///
    /// # Errors
    /// PLATFORM_NOT_CONFIGURED, PLATFORM_UNAVAILABLE, PLATFORM_UNTRUSTED.
    pub async fn bound(self: &Arc<Self>) -> Result<Arc<Binding>> {
        if let Some(binding) = self.current() {
            return Ok(binding);
        }
        let (origin, fingerprint) = {
            let state = self.state();
            let origin = state.config.origin.as_deref().and_then(Origin::parse);
            let fingerprint = state.config.ca_fingerprint.as_deref().and_then(parse_fingerprint);
            origin.zip(fingerprint).ok_or(Fault::PlatformNotConfigured)?
        };
        self.bind(origin, fingerprint).await
    }

    /// Where the platform is and the fingerprint of its bundle: as bound, else as configured.
    pub fn describe(&self) -> Option<(String, String)> {
        if let Some(binding) = self.current() {
            let fingerprint = fingerprint_of(&binding.bundle).map(hex::encode).unwrap_or_default();
            return Some((binding.origin.to_string(), fingerprint));
        }
        let state = self.state();
        let fingerprint = parse_fingerprint(state.config.ca_fingerprint.as_deref()?)?;
        Some((Origin::parse(state.config.origin.as_deref()?)?.to_string(), hex::encode(fingerprint)))
    }

    /// Finds out at once, and then as long as somebody watches, whether the platform answers.
    pub async fn probe(self: Arc<Self>) {
        loop {
            let asked = match self.bound().await {
                Ok(binding) => binding.anonymous.get_bytes("/v1/versions").await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = asked {
                tracing::debug!(%error, "the platform was probed");
            }
            tokio::time::sleep(PROBE).await;
            while !self.events.is_watched() {
                tokio::time::sleep(PROBE).await;
            }
        }
    }

    /// The platform, if the agent is bound.
    pub fn current(&self) -> Option<Arc<Binding>> {
        self.state().binding.clone()
    }

    /// Binds the agent to this platform, or finds that it is bound to it already.
    ///
    /// # Errors
    /// PLATFORM_MISMATCH when it is bound to another or the configuration names another; as [`Platform::bound`].
    pub async fn bind(self: &Arc<Self>, origin: Origin, fingerprint: [u8; 32]) -> Result<Arc<Binding>> {
        let _one = self.contact.lock().await;
        self.state().config.check_names(&origin, &fingerprint)?;
        if let Some(binding) = self.current() {
            let same = fingerprint_of(&binding.bundle)? == fingerprint;
            return if same { Ok(binding) } else { Err(Fault::PlatformMismatch.into()) };
        }
        let limit = self.state().config.timeout_seconds.duration();
        let first = Client::new(origin.clone(), tls::unverified()?, limit, self.told());
        let der = first.get_bytes("/v1/trust").await?;
        let bundle = TrustBundle::from_der(&der)
            .map_err(|_| Fault::PlatformUntrusted.because("what it shows is no trust bundle"))?;
        if fingerprint_of(&bundle)? != fingerprint {
            return Err(Fault::PlatformUntrusted.into());
        }
        self.bind_to(origin, bundle, true)
    }

    fn bind_to(self: &Arc<Self>, origin: Origin, bundle: TrustBundle, store: bool) -> Result<Arc<Binding>> {
        if store {
            let der = bundle.to_der().map_err(Error::internal)?;
            let stored = Stored { version: 1, origin: origin.to_string(), bundle: STANDARD.encode(der) };
            let text = serde_json::to_vec_pretty(&stored).map_err(Error::internal)?;
            life_sys::files::write_atomically(&self.file, &text, 0o600)
                .map_err(|error| Fault::StateUnusable.because(format!("platform.json: {error}")))?;
        }
        let limit = self.state().config.timeout_seconds.duration();
        let anonymous = Client::new(origin.clone(), tls::anonymous(&bundle.server_root)?, limit, self.told());
        let binding = Arc::new(Binding { origin, bundle, anonymous, lists: Mutex::default() });
        self.state().binding = Some(binding.clone());
        Ok(binding)
    }

    /// A client at another level.
    pub fn client(self: &Arc<Self>, binding: &Binding, tls: rustls::ClientConfig) -> Client {
        let limit = self.state().config.timeout_seconds.duration();
        Client::new(binding.origin.clone(), tls, limit, self.told())
    }

    /// Whether the last exchange worked, and when that was.
    pub fn up(&self) -> Option<(bool, SystemTime)> {
        self.state().up
    }

    fn told(self: &Arc<Self>) -> Told {
        let platform = Arc::downgrade(self);
        Arc::new(move |up| {
            if let Some(platform) = platform.upgrade() {
                let before = platform.state().up.replace((up, SystemTime::now()));
                if before.map(|(up, _)| up) != Some(up) {
                    platform.events.platform_changed(up);
                }
            }
        })
    }
}

impl config::Platform {
    /// Checks that a platform is the one configured, if one is.
    fn check_names(&self, origin: &Origin, fingerprint: &[u8; 32]) -> Result<()> {
        let other = |what| Err(Fault::PlatformMismatch.because(what));
        if self.ca_fingerprint.as_deref().is_some_and(|text| parse_fingerprint(text) != Some(*fingerprint)) {
            return other("the configuration names one with another fingerprint");
        }
        if self.origin.as_deref().is_some_and(|text| Origin::parse(text).as_ref() != Some(origin)) {
            return other("the configuration names one at another origin");
        }
        Ok(())
    }
}

/// The fingerprint of a bundle that was read before.
pub fn fingerprint_of(bundle: &TrustBundle) -> Result<[u8; 32]> {
    bundle.fingerprint().map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_configured_platform_will_do() {
        let origin = |text| Origin::parse(text).unwrap();
        let free = config::Platform::default();
        let bound = config::Platform {
            origin: Some("https://life.example:8443".to_owned()),
            ca_fingerprint: Some("ab".repeat(32)),
            ..config::Platform::default()
        };
        free.check_names(&origin("https://elsewhere.example"), &[1; 32]).unwrap();
        bound.check_names(&origin("https://life.example:8443"), &[0xab; 32]).unwrap();
        for (at, fingerprint) in
            [("https://life.example:8443", [1; 32]), ("https://elsewhere.example", [0xab; 32])]
        {
            let error = bound.check_names(&origin(at), &fingerprint).unwrap_err();
            assert_eq!(error.fault(), Fault::PlatformMismatch);
        }
    }
}
