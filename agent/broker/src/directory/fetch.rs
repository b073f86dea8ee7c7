//! Asking the platform for a user, and what counts of its answer: only what extends the pin, which is kept first.

use std::time::Instant;

use life_pki::{Certificate, Uid};

use super::pins::Peer;
use super::{Directory, Seen, logs};
use crate::clock;
use crate::error::{Fault, Result};

/// How exactly the last contact with a user is kept, in seconds: each note of it is a file written.
const CONTACT_STEP: i64 = 3600;

impl Directory {
    pub(super) async fn see(&self, uid: Uid) -> Result<Seen> {
        let refresh = self.refresh();
        if let Some(seen) = self.cache().get(&uid)
            && seen.since.elapsed() < refresh
        {
            return Ok(seen.clone());
        }
        self.fetch(uid).await
    }

    pub(super) async fn fetch(&self, uid: Uid) -> Result<Seen> {
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
        let mut found = match self.client.user(uid).await {
            Err(error) if error.fault() == Fault::PlatformUnavailable => {
                let pins = self.pins.lock().await;
                return pinned(uid, pins.peers.get(&uid).ok_or(error)?).await;
            }
            found => found?,
        };
        let crl = self.crl().await;
        let now = clock::now()?;
        let mut pins = self.pins.lock().await;
        let before = pins.peers.get(&uid);
        // Too little of a log is not even one; of the one we know it is an old state.
        if before.is_some_and(|it| found.log.len() < it.log.len() && it.log.starts_with(&found.log)) {
            return Err(Fault::AccountLogRolledBack.into());
        }
        let log = std::mem::take(&mut found.log);
        let (verified, log) = logs::verify(uid, before.map(|peer| &peer.pin), log, now).await?;
        let (account, pin) = verified?;
        let root = crl.and_then(|crl| self.judge_root(&account, &found, crl.der(), now));
        let first_seen = before.map_or(now, |peer| peer.first_seen);
        let mut peer = before.cloned().unwrap_or_else(|| Peer::first(pin.clone(), now));
        let old = now.unix() - peer.checked.unix() >= CONTACT_STEP;
        let mut changed = before.is_none() || peer.pin != pin || old;
        (peer.pin, peer.log) = (pin, log);
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
}

/// A user as pinned, without asking the platform.
async fn pinned(uid: Uid, peer: &Peer) -> Result<Seen> {
    let now = clock::now()?;
    let (account, _) = logs::verify(uid, Some(&peer.pin), peer.log.clone(), now).await?.0?;
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
