//! Pending accounts: keys that exist nowhere else until their registration is through.

use std::sync::Mutex;
use std::time::Instant;

use life_credentials::{CredentialError, ExportSlot};
use life_envelope::challenge;
use life_pki::account_log::{Change, CredentialId, CredentialKeys, Entry, EntryBody};
use life_pki::certificate::Certificate;
use life_pki::{CredentialKind, KeySlot, PrivateKey, Timestamp, Uid, csr};
use life_sys::secret::Key256;
use life_vault_protocol::VaultError::{CertificateRefused, ChallengeRefused, Internal};
use life_vault_protocol::{PendingId, RequestKind, Response, VaultError, WorkingKeyAlgorithm};

use crate::delivery::Delivery;
use crate::keep::{Commitment, Keep, Pending};
use crate::secret_source::new;
use crate::slow::{NewAccount, NewPassphrase};

/// The size of a new root credential (FORMATS §2).
const ROOT_BITS: u32 = 3072;
/// A new account's first root credential.
const FIRST_GENERATION: u32 = 1;

pub(super) fn generate(
    keep: &Keep,
    account: NewAccount,
    passphrase: NewPassphrase,
    wanted: &dyn Fn() -> bool,
) -> Result<Response, VaultError> {
    keep.pending_room()?;
    // Each key takes long, one of RSA perhaps seconds.
    let go_on = || if wanted() { Ok(()) } else { Err(VaultError::SecretWithdrawn) };
    let NewAccount { uid, kind, algorithm } = account;
    let passphrase = match passphrase {
        NewPassphrase::Given(secret) => secret,
        NewPassphrase::Made(fd) => {
            let (secret, delivery) = (new::generate()?, Delivery::to(fd)?);
            delivery.write(&secret)?;
            secret
        }
    };
    let working_key = || {
        go_on()?;
        match algorithm {
            WorkingKeyAlgorithm::P256 => PrivateKey::generate_p256(),
            WorkingKeyAlgorithm::Rsa3072 => PrivateKey::generate_rsa(3072),
        }
        .map_err(|_| Internal)
    };
    let mut credential_id = [0; 16];
    aws_lc_rs::rand::fill(&mut credential_id).map_err(|_| Internal)?;
    let pending = Pending {
        uid,
        kind,
        credential_id: CredentialId(credential_id),
        authentication: working_key()?,
        signature: working_key()?,
        encryption: working_key()?,
        root: go_on().and_then(|()| PrivateKey::generate_rsa(ROOT_BITS).map_err(|_| Internal))?,
        history_key: Key256::init_with(|key| aws_lc_rs::rand::fill(key)).map_err(|_| Internal)?,
        passphrase,
        since: Instant::now(),
        committed: Mutex::new(None),
    };
    let authentication_csr = request(uid, KeySlot::Authentication, &pending.authentication)?;
    let signature_csr = request(uid, KeySlot::Signature, &pending.signature)?;
    let encryption_spki = pending.encryption.public_key().spki().to_vec();
    let root_spki = pending.root.public_key().spki().to_vec();
    let pending = PendingId(keep.add_pending(pending)?);
    Ok(Response::Account {
        pending,
        credential_id,
        authentication_csr,
        signature_csr,
        encryption_spki,
        root_spki,
    })
}

/// A PKCS#10 request that the vault builds itself (FORMATS §4, typed signing).
fn request(uid: Uid, slot: KeySlot, key: &PrivateKey) -> Result<Vec<u8>, VaultError> {
    let info = csr::to_be_signed(&uid, slot, key.public_key()).map_err(|_| Internal)?;
    let signature = key.sign(&info).map_err(|_| Internal)?;
    csr::assemble(&info, key.public_key(), &signature).map_err(|_| Internal)
}

/// Opens a challenge with a key that never signs. What comes out is the nonce of a well-formed challenge for exactly
/// this user, slot and key.
pub(super) fn answer_challenge(
    keep: &Keep,
    pending: PendingId,
    slot: KeySlot,
    envelope: &[u8],
) -> Result<Response, VaultError> {
    let pending = keep.pending(pending.0, RequestKind::AnswerChallenge)?;
    let key = match slot {
        KeySlot::Encryption => &pending.encryption,
        KeySlot::Root => &pending.root,
        KeySlot::Authentication | KeySlot::Signature => return Err(ChallengeRefused),
    };
    let nonce = challenge::open(envelope, pending.uid, slot, key).map_err(|_| ChallengeRefused)?;
    // EXPOSE: the answer that proves possession; it is a secret of the platform's, and only until it is used.
    Ok(Response::Nonce(*nonce.expose()))
}

/// Builds the first two log entries and the seal; once built they stay the same.
pub(super) fn commit(keep: &Keep, pending: PendingId, time: i64) -> Result<Response, VaultError> {
    let pending = keep.pending(pending.0, RequestKind::CommitAccount)?;
    let time = Timestamp::from_unix(time).map_err(|_| VaultError::Malformed)?;
    let mut committed = pending.commitment();
    let commitment = match &*committed {
        Some(commitment) => commitment.clone(),
        None => committed.insert(first_entries(&pending, time)?).clone(),
    };
    Ok(Response::Committed { log: commitment.log, seal: commitment.seal })
}

fn first_entries(pending: &Pending, time: Timestamp) -> Result<Commitment, VaultError> {
    let keys = CredentialKeys {
        id: pending.credential_id,
        kind: CredentialKind::SoftwareCertificate,
        authentication: pending.authentication.public_key().hash(),
        signature: pending.signature.public_key().hash(),
        encryption: pending.encryption.public_key().hash(),
    };
    let genesis = entry(EntryBody::genesis(pending.uid, pending.kind, keys, time), &pending.signature)?;
    let new_root =
        Change::NewRoot { generation: FIRST_GENERATION, spki_hash: pending.root.public_key().hash() };
    let root = entry(EntryBody::after(&genesis, time, new_root), &pending.signature)?;
    let seal = life_credentials::seal(
        pending.uid,
        pending.credential_id,
        FIRST_GENERATION,
        &pending.root,
        &pending.history_key,
        pending.encryption.public_key(),
    )
    .map_err(|_| Internal)?;
    Ok(Commitment { log: vec![genesis.to_der().to_vec(), root.to_der().to_vec()], seal })
}

/// An account-log entry, signed under its own prefix (FORMATS §4, typed signing).
fn entry(body: EntryBody, key: &PrivateKey) -> Result<Entry, VaultError> {
    let input = body.signing_input().map_err(|_| Internal)?;
    let signature = key.sign(&input).map_err(|_| Internal)?;
    Entry::assemble(body, key.public_key(), signature, None).map_err(|_| Internal)
}

/// Packs the working credential into a file and ends the pending account. Failing keeps it.
pub(super) fn export(
    keep: &Keep,
    id: PendingId,
    certificates: &[Vec<u8>],
    issuers: &[Vec<u8>],
) -> Result<Response, VaultError> {
    keep.end_pending(id.0, RequestKind::ExportSoftwareCertificate, |pending| {
        software_certificate(pending, certificates, issuers).map(Response::Pkcs12)
    })
}

fn software_certificate(
    pending: &Pending,
    certificates: &[Vec<u8>],
    issuers: &[Vec<u8>],
) -> Result<Vec<u8>, VaultError> {
    let certificates = certificates
        .iter()
        .map(|der| Certificate::from_der(der).map_err(|_| CertificateRefused))
        .collect::<Result<Vec<_>, _>>()?;
    let own = [
        (KeySlot::Authentication, &pending.authentication),
        (KeySlot::Signature, &pending.signature),
        (KeySlot::Encryption, &pending.encryption),
    ];
    if certificates.len() != own.len() {
        return Err(CertificateRefused);
    }
    let slots = own
        .into_iter()
        .map(|(slot, key)| {
            let fits = |certificate: &&Certificate| {
                certificate.slot() == Some(slot)
                    && certificate.uid() == Some(pending.uid)
                    && certificate.public_key() == key.public_key()
            };
            let certificate = certificates.iter().find(fits).ok_or(CertificateRefused)?;
            Ok(ExportSlot { slot, key, certificate })
        })
        .collect::<Result<Vec<_>, VaultError>>()?;
    life_credentials::export(&slots, issuers, &pending.passphrase).map_err(|error| match error {
        CredentialError::UnusablePassphrase => VaultError::SecretUnusable,
        CredentialError::Damaged | CredentialError::Inconsistent => CertificateRefused,
        _ => Internal,
    })
}

pub(super) fn discard(keep: &Keep, id: PendingId) -> Result<Response, VaultError> {
    keep.pending(id.0, RequestKind::DiscardAccount)?;
    keep.remove_pending(id.0);
    Ok(Response::Done)
}
