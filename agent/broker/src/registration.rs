//! Registering a user: keys made in the vault, public halves and proofs to the platform, certificates back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use life_pki::account_log::{self, AccountState};
use life_pki::chain::{self, Purpose, Revocation};
use life_pki::{KeySlot, ParticipantKind};
use life_proto::v1;
use life_sys::peer::Peer;
use life_vault_protocol::WorkingKeyAlgorithm;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::agent::Agent;
use crate::clock;
use crate::enrolments::Attempts;
use crate::error::{Error, Fault, Result};
use crate::platform::{Base64, Binding, Commit, Keys, Origin, Registration, RegistrationState};
use crate::secrets::{AskedNew, Want};
use crate::unlock::without_root;
use crate::vault::{Account, PendingAccount};

/// How long a commit is repeated: the vault keeps the keys for an hour.
const PENDING: Duration = Duration::from_secs(50 * 60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Who registers.
pub struct NewUser {
    /// The kind of participant.
    pub kind: ParticipantKind,
    /// The working credential's keys.
    pub algorithm: WorkingKeyAlgorithm,
    /// A registration to go on with.
    pub registration: Option<String>,
}

/// A registered user.
pub struct Registered {
    /// The account.
    pub account: AccountState,
    /// The software certificate; wiped when it was handed over, or nobody fetched it.
    pub pkcs12: Zeroizing<Vec<u8>>,
}

life_sys::secret_types!(Registered);

/// What is kept of a registration that waits for a registrar: only the ephemeral key that proves whose it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    key: Base64,
}

/// Registers a user. Once the passphrase is there and the keys are made this goes on even if the caller goes away, or the
/// platform commits and does not say so: calling again with the registration's name gives the same file, under the first
/// call's passphrase.
///
/// # Errors
/// As `Accounts.RegisterUser`. Keys that did not make it are wiped in the vault.
pub async fn register<F>(
    agent: &Arc<Agent>,
    new: NewUser,
    passphrase: NewPassphrase<'_>,
    platform: Option<(Origin, [u8; 32])>,
    tell: impl FnOnce(v1::DescriptorTicket) -> F,
) -> Result<Arc<Registered>>
where
    F: Future<Output = Result<()>>,
{
    if let Some(id) = new.registration.as_deref().filter(|id| agent.enrolments.knows(id)) {
        return agent.enrolments.fetch(id).await;
    }
    let binding = match platform {
        Some((origin, fingerprint)) => agent.platform.bind(origin, fingerprint).await?,
        None => agent.platform.bound().await?,
    };
    let registration = begin(agent, &binding, &new).await?;
    match registration.state {
        RegistrationState::Open => {}
        RegistrationState::PendingApproval => {
            keep(agent, &registration)?;
            let user = crate::names::user(&registration.uid);
            let pending = Fault::RegistrationPending.with("registration", registration.id.clone());
            return Err(pending.with("user", user));
        }
        RegistrationState::Refused => {
            forget(agent, &registration.id);
            return Err(Fault::RegistrationRefused.into());
        }
        RegistrationState::Committed => {
            forget(agent, &registration.id);
            return Err(
                Fault::RegistrationExpired.because("it was finished before, and its keys are not here")
            );
        }
    }
    // Before there is anything to lose: a person may cancel, or have nothing to write down on.
    let want = Want { agent: agent.as_ref(), caller: passphrase.caller, uid: None };
    let ready = want.to_be(passphrase.asked, tell).await?;
    let uid = registration.uid;
    let make =
        |source, descriptors| agent.vault.generate_account(uid, new.kind, new.algorithm, source, descriptors);
    let (pending, account) = ready.give(make).await?;
    let id = registration.id.clone();
    let shared = agent.clone();
    let work = |attempts| async move {
        let registered = enroll(&binding, &registration, pending, account, &attempts).await?;
        forget(&shared, &registration.id);
        Ok(registered)
    };
    agent.enrolments.begin(id.clone(), work)?;
    agent.enrolments.fetch(&id).await
}

/// Where the passphrase comes from, and who asks for it.
pub struct NewPassphrase<'a> {
    /// Where.
    pub asked: AskedNew,
    /// Who.
    pub caller: Option<&'a Peer>,
}

life_sys::secret_types!(NewPassphrase<'static>);

async fn begin(agent: &Agent, binding: &Binding, new: &NewUser) -> Result<Registration> {
    let Some(id) = &new.registration else {
        return Registration::begin(binding.anonymous.clone(), new.kind).await;
    };
    let path = kept_path(agent, id).ok_or_else(|| Error::field("registration", "is not the name of one"))?;
    let text = std::fs::read(path)
        .map_err(|_| Error::field("registration", "is not one that was begun with this agent"))?;
    let kept: Kept = serde_json::from_slice(&text)
        .map_err(|_| Fault::StateUnusable.because("the kept registration is damaged"))?;
    Registration::resume(binding.anonymous.clone(), id, &kept.key.0).await
}

async fn enroll(
    binding: &Binding,
    registration: &Registration,
    pending: PendingAccount,
    keys: Account,
    attempts: &Attempts,
) -> Result<Registered> {
    let uid = registration.uid;
    let root_spki = keys.root_spki.clone();
    let keys = Keys {
        authentication_csr: Base64(keys.authentication_csr),
        signature_csr: Base64(keys.signature_csr),
        encryption_spki: Base64(keys.encryption_spki),
        root_spki: Base64(keys.root_spki),
    };
    let (encryption, root) = registration.put_keys(&keys).await?;
    let encryption = pending.answer(KeySlot::Encryption, encryption).await?;
    let root = pending.answer(KeySlot::Root, root).await?;
    let now = clock::now()?;
    let (log, seal) = pending.commit(now.unix()).await?;
    let account = account_log::verify_for(uid, &log, now)?;
    let commit = Commit::new(encryption, root, log, seal);
    let (mut certificates, issuers) = commit_until_answered(registration, &commit, attempts).await?;

    // The vault checks the three that go into the file; the root credential's stays with the platform.
    let root = certificates.remove(&KeySlot::Root).unwrap_or_default();
    let path = without_root(&issuers, binding);
    let purpose = Purpose::Slot(KeySlot::Root);
    let trusted =
        chain::verify(&root, &path, &binding.bundle.user_root, Revocation::Unchecked, clock::now()?, purpose);
    let fits = trusted.is_ok_and(|it| it.uid() == Some(uid) && it.public_key().spki() == root_spki);
    if !fits {
        return Err(Fault::PlatformUntrusted.because("it issued a certificate that does not fit"));
    }
    let pkcs12 = pending.export(certificates.into_values().collect(), issuers).await?;
    Ok(Registered { account, pkcs12: Zeroizing::new(pkcs12) })
}

/// Commits. Whether the platform did is known only when it says so, and an account without its keys would be of no use to
/// anybody: it is asked until it says so, or the vault gives the keys up. Whoever sits on the line can let a commit through
/// and answer the next attempt with a certificate or an alert of their own, so no failed connection ends this.
async fn commit_until_answered(
    registration: &Registration,
    commit: &Commit,
    attempts: &Attempts,
) -> Result<(BTreeMap<KeySlot, Vec<u8>>, Vec<Vec<u8>>)> {
    let end = Instant::now() + PENDING;
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match registration.commit(commit).await {
            Err(error) if !refuses(&error) => error,
            answer => return answer,
        };
        let error = error
            .with("registration", registration.id.clone())
            .with("user", crate::names::user(&registration.uid));
        if Instant::now() >= end {
            return Err(error);
        }
        tracing::warn!(%error, "whether an account was made is not known, and is asked again");
        attempts.pause(error, pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether a fault is the platform's own refusal to make an account: it came over verified TLS, whole, with a reason. A wrong
/// clock stands against the attempt and says nothing about earlier ones.
fn refuses(error: &Error) -> bool {
    let answered = error.metadata("platform_status").is_some();
    let reason = error.metadata("platform_reason").unwrap_or_default();
    answered && error.fault() != Fault::PlatformUnavailable && !matches!(reason, "" | "CLOCK_SKEW")
}

/// Where the key of a registration is kept; nothing for a name that is none.
fn kept_path(agent: &Agent, id: &str) -> Option<PathBuf> {
    let good = (1..=64).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    good.then(|| agent.paths.state.join("registrations").join(format!("{id}.json")))
}

fn keep(agent: &Agent, registration: &Registration) -> Result<()> {
    let Some(path) = kept_path(agent, &registration.id) else { return Ok(()) };
    let kept = Kept { version: 1, key: Base64(registration.key_to_keep()?) };
    let text = serde_json::to_vec(&kept).map_err(Error::internal)?;
    life_sys::files::write_atomically(&path, &text, 0o600)
        .map_err(|error| Fault::StateUnusable.because(format!("the registration cannot be kept: {error}")))
}

fn forget(agent: &Agent, id: &str) {
    if let Some(path) = kept_path(agent, id) {
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_platforms_own_refusal_ends_a_registration() {
        let answered = |fault: Fault, reason: &str| {
            refuses(&Error::from(fault).with("platform_status", "409").with("platform_reason", reason))
        };
        assert!(answered(Fault::PlatformRefused, "EVIDENCE_INVALID"));
        assert!(answered(Fault::RegistrationExpired, "REGISTRATION_EXPIRED"));
        assert!(!answered(Fault::PlatformUnavailable, "RATE_LIMITED"));
        assert!(!answered(Fault::PlatformRefused, "CLOCK_SKEW"));
        assert!(!answered(Fault::PlatformRefused, ""), "its reason was cut off, or another answered");
        for fault in [
            Fault::PlatformUnavailable,
            Fault::PlatformUntrusted,
            Fault::CredentialRevoked,
            Fault::CredentialExpired,
            Fault::CredentialUntrusted,
            Fault::Internal,
        ] {
            assert!(!refuses(&fault.into()), "{fault:?} did not come from the platform");
        }
    }
}
