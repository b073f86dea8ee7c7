//! Unlocking: the file is opened in the vault, its certificates are judged, the account log and seals are fetched
//! as the user, and the root credential is opened in the vault against the verified log.

use std::sync::Arc;
use std::time::SystemTime;

use life_pki::account_log::{self, AccountState, CredentialId};
use life_pki::chain::{self, ChainError, Purpose, Revocation};
use life_pki::{Certificate, KeySlot, Timestamp, Uid};
use life_proto::v1;
use life_vault_protocol::SecretSource;
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::clock;
use crate::directory::Directory;
use crate::engine::compute;
use crate::error::{Error, Fault, Result};
use crate::identities::{Epoch, Identity, Root};
use crate::platform::{Binding, Me, identified};
use crate::secrets::Ready;
use crate::unlockings::Unlocking;
use crate::upstream::Upstream;
use crate::vault::{Opened, Session};

/// A software certificate with the source of its passphrase.
pub struct SoftwareCertificate {
    /// The PKCS#12 file.
    pub pkcs12: Vec<u8>,
    /// Where the passphrase comes from.
    pub secret: Ready<SecretSource>,
    /// The user expected.
    pub expected: Option<Uid>,
    /// When it was asked for.
    pub began: Epoch,
    /// Ends when its user is locked.
    pub unlocking: Unlocking,
}

life_sys::secret_types!(SoftwareCertificate);

/// Unlocks a software certificate.
///
/// # Errors
/// As `Credentials.Unlock`; CREDENTIAL_LOCKED as soon as the user is locked. Nothing stays open in the vault then.
pub async fn software_certificate(agent: &Agent, credential: SoftwareCertificate) -> Result<Arc<Identity>> {
    open(agent, credential).await.map_err(|error| agent.vault.explained(error))
}

async fn open(agent: &Agent, credential: SoftwareCertificate) -> Result<Arc<Identity>> {
    let limit = agent.config().limits.max_identities.0;
    agent.identities.check_room(limit, credential.expected)?;
    let binding = agent.platform.bound().await?;
    let SoftwareCertificate { pkcs12, secret, expected, began, unlocking } = credential;
    let now = clock::now()?.unix();
    let open = |source, descriptors| {
        agent.vault.open_software_certificate(pkcs12, source, descriptors, now, expected)
    };
    let opened = unlocking.run(secret.give(open)).await?;
    unlocking.is_of(opened.uid);
    agent.identities.check_still_wanted(opened.uid, began)?;
    // Somebody may have taken long to type; what comes now is judged by the time now.
    let opening = open_account(agent, binding, opened, clock::now()?);
    let identity = Arc::new(unlocking.run(opening).await?);
    agent.identities.insert(identity.clone(), began, limit)?;
    Ok(identity)
}

async fn open_account(
    agent: &Agent,
    binding: Arc<Binding>,
    opened: Opened,
    now: Timestamp,
) -> Result<Identity> {
    let Opened { session, uid, authentication, signature, encryption, issuers } = opened;
    let session = Arc::new(session);
    let crl = binding.crl(agent.config().directory.refresh_seconds.duration()).await?;
    let judge = |der: &[u8], slot| own_certificate(&binding, crl.der(), der, &issuers, uid, slot, now);
    let authentication = judge(&authentication, KeySlot::Authentication)?;
    let signature = judge(&signature, KeySlot::Signature)?;
    let encryption = judge(&encryption, KeySlot::Encryption)?;

    let path = without_root(&issuers, &binding);
    let root = CertificateDer::from(binding.bundle.server_root.der());
    let tls = identified(&[root], session.clone(), &authentication, &path)?;
    let client = agent.platform.client(&binding, tls);
    let (me, seals) = tokio::try_join!(client.me(), client.seals())?;
    // A long log has many signatures to verify.
    let length = me.log.iter().map(Vec::len).sum();
    let (me, account) = compute(length, move || {
        let account = account_log::verify_for(uid, &me.log, now);
        (me, account)
    })
    .await?;
    let account = account?;
    let seals = own_seals(&account, &authentication, seals)?;
    let root = open_root(&session, &account, me, seals, &binding, crl.der(), now).await?;

    let directory = Directory::open(agent, uid, session.clone(), client.clone(), binding.clone()).await?;
    directory.check_own(&root.log).await?;
    let expires = [&authentication, &signature, &encryption].map(Certificate::not_after).into_iter().min();
    let locked = CancellationToken::new();
    let upstream =
        Upstream::new(session.clone(), authentication, path.clone(), binding.clone(), locked.clone());
    let mut signature_chain = vec![signature.der().to_vec()];
    signature_chain.extend(path);
    Ok(Identity {
        uid,
        handle: agent.identities.next_handle(),
        credential_id: root.credential_id,
        kind: v1::CredentialKind::SoftwareCertificate,
        session,
        signature_certificate: signature,
        signature_chain,
        root: root.root,
        client,
        binding,
        directory,
        unlocked: SystemTime::now(),
        expires: expires.unwrap_or(now),
        locked,
        upstream,
        signing: Default::default(),
    })
}

/// Judges one certificate of the credential.
fn own_certificate(
    binding: &Binding,
    crl: &[u8],
    der: &[u8],
    issuers: &[Vec<u8>],
    uid: Uid,
    slot: KeySlot,
    now: Timestamp,
) -> Result<Certificate> {
    let revocation = Revocation::Crls { crls: &[crl], now };
    let root = &binding.bundle.user_root;
    let certificate =
        chain::verify(der, &without_root(issuers, binding), root, revocation, now, Purpose::Slot(slot))
            .map_err(own_chain_fault)?;
    if certificate.uid() == Some(uid) { Ok(certificate) } else { Err(Fault::CredentialUntrusted.into()) }
}

/// The fault of a certificate of the credential.
pub fn own_chain_fault(error: ChainError) -> Error {
    let fault = match error {
        ChainError::CrlStale => return Fault::PlatformUnavailable.because(error.to_string()),
        ChainError::Expired => Fault::CredentialExpired,
        ChainError::NotYetValid => Fault::CredentialNotYetValid,
        ChainError::Revoked => Fault::CredentialRevoked,
        ChainError::Malformed | ChainError::Profile(_) | ChainError::Untrusted | ChainError::WrongPurpose => {
            Fault::CredentialUntrusted
        }
    };
    fault.into()
}

/// The certificates between a user's and the root.
pub fn without_root(issuers: &[Vec<u8>], binding: &Binding) -> Vec<Vec<u8>> {
    let root = binding.bundle.user_root.der();
    issuers.iter().filter(|der| der.as_slice() != root).take(chain::MAX_INTERMEDIATES).cloned().collect()
}

/// The seals that the platform has for this very credential.
fn own_seals(
    account: &AccountState,
    authentication: &Certificate,
    seals: Vec<(String, Vec<u8>)>,
) -> Result<Vec<Vec<u8>>> {
    let credential = account.authenticator(&authentication.public_key().hash()).filter(|it| it.is_live());
    let credential = credential
        .ok_or_else(|| Fault::CredentialRevoked.because("it is not, or no longer, in the account log"))?;
    let id = hex::encode(credential.keys.id.0);
    let own: Vec<_> = seals.into_iter().filter(|(of, _)| *of == id).map(|(_, seal)| seal).collect();
    if own.is_empty() { Err(Fault::RootSealMissing.into()) } else { Ok(own) }
}

struct OpenedRoot {
    root: Root,
    credential_id: [u8; 16],
    log: Vec<Vec<u8>>,
}

async fn open_root(
    session: &Session,
    account: &AccountState,
    mut me: Me,
    seals: Vec<Vec<u8>>,
    binding: &Binding,
    crl: &[u8],
    now: Timestamp,
) -> Result<OpenedRoot> {
    let opened =
        session.open_root(me.log.clone(), seals, now.unix()).await.map_err(|error| match error.fault() {
            // The platform says that it is ours, and the vault finds that it is not.
            Fault::RootSealMissing => Fault::RootSealForeign.into(),
            _ => error,
        })?;
    let untrusted = |why| Fault::PlatformUntrusted.because(why);
    let der = me
        .certificates
        .remove(&KeySlot::Root)
        .ok_or_else(|| untrusted("it shows no certificate of the root credential"))?;
    let certificate = own_certificate(binding, crl, &der, &me.issuers, account.uid(), KeySlot::Root, now)?;
    let current = account.current_root();
    let fits = certificate.public_key().spki() == opened.root_spki
        && current.spki_hash == certificate.public_key().hash()
        && u64::from(current.generation) == opened.generation
        && account.live_credential(&CredentialId(opened.credential_id)).is_some();
    if !fits {
        return Err(untrusted("the root credential's certificate does not fit the account log"));
    }
    Ok(OpenedRoot {
        root: Root {
            generation: current.generation,
            key: certificate.public_key().clone(),
            certificate,
            issuers: me.issuers,
            account: account.clone(),
        },
        credential_id: opened.credential_id,
        log: me.log,
    })
}
