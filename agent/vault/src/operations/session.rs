//! Sessions: opening credentials, signing typed input, unwrapping content keys.

use life_credentials::{CredentialError, RootCredential, RootError, SoftwareCertificate};
use life_envelope::{OwnKey, Purpose, RecipientId, RecipientInfo, SignatureAlgorithm, SignedAttributes};
use life_pki::Timestamp;
use life_pki::account_log::verify_for;
use life_sys::secret::{Key256, SecretBytes};
use life_vault_protocol::{Entries, RequestKind, Response, SessionId, VaultError};

use crate::keep::Keep;
use crate::slow::PendingCertificate;
use crate::tls::ClientCertificateVerify;

pub(super) fn open(
    keep: &Keep,
    certificate: &PendingCertificate,
    passphrase: &SecretBytes,
) -> Result<Response, VaultError> {
    keep.session_room()?;
    let opened = SoftwareCertificate::open(&certificate.pkcs12, passphrase, certificate.now)
        .map_err(credential_error)?;
    let uid = opened.uid();
    if certificate.expected.is_some_and(|expected| expected != uid) {
        return Err(VaultError::WrongUser);
    }
    let authentication = opened.authentication().der().to_vec();
    let signature = opened.signature().der().to_vec();
    let encryption = opened.encryption().der().to_vec();
    let issuers = opened.issuers().to_vec();
    let session = SessionId(keep.add_session(opened, certificate.since)?);
    Ok(Response::Opened { session, uid, authentication, signature, encryption, issuers })
}

pub(super) fn open_root(
    keep: &Keep,
    session: SessionId,
    log: &Entries,
    seals: &Entries,
    now: i64,
) -> Result<Response, VaultError> {
    let now = Timestamp::from_unix(now).map_err(|_| VaultError::Malformed)?;
    keep.unlock_root(session.0, |working| {
        let log: Vec<&[u8]> = log.iter().collect();
        let seals: Vec<&[u8]> = seals.iter().collect();
        let account = verify_for(working.uid(), &log, now).map_err(|_| VaultError::LogInvalid)?;
        let root = RootCredential::open(working, &account, &seals).map_err(root_error)?;
        working.signing().prepare().map_err(credential_error)?;
        let answer = Response::Root {
            generation: root.generation().into(),
            root_spki: root.public_key().spki().to_vec(),
            credential_id: root.credential_id().0,
            genesis: account.genesis().0,
            head: account.head().0,
        };
        Ok((root, answer))
    })
}

/// Signs attributes only if they are complete, name the session's user as sender and its certificate as signer
/// (FORMATS §4). A statement on an account is not signed: nothing asks for one, and a broker must not get one.
pub(super) fn sign_attributes(
    keep: &Keep,
    session: SessionId,
    attributes: &[u8],
) -> Result<Response, VaultError> {
    keep.with_session(session.0, RequestKind::SignAttributes, |stage| {
        let signing = stage.signing()?;
        let parsed = SignedAttributes::parse(attributes).map_err(|_| VaultError::AttributesRefused)?;
        if parsed.context().sender() != signing.uid() {
            return Err(VaultError::WrongSender);
        }
        if parsed.context().purpose() == Purpose::Statement {
            return Err(VaultError::AttributesRefused);
        }
        let certificate = signing.signature();
        if parsed.certificate_hash() != &certificate.sha256() {
            return Err(VaultError::WrongCertificate);
        }
        // What is signed is what was judged: its only encoding.
        let message = parsed.to_der();
        let algorithm_fits = parsed.algorithm() == SignatureAlgorithm::of(certificate.public_key());
        if !algorithm_fits || message != attributes {
            return Err(VaultError::AttributesRefused);
        }
        signing.sign(&message).map(Response::Signature).map_err(credential_error)
    })
}

pub(super) fn sign_tls(keep: &Keep, session: SessionId, input: &[u8]) -> Result<Response, VaultError> {
    keep.with_session(session.0, RequestKind::SignTls, |stage| {
        let input = ClientCertificateVerify::parse(input).ok_or(VaultError::TlsInputRefused)?;
        let signature = stage.signing()?.sign_authentication(input.message()).map_err(credential_error)?;
        Ok(Response::Signature(signature))
    })
}

/// Unwraps with the root credential and no other key; who asks with a recipient of the working credential, such as
/// that of a root key seal, gets a refusal or a random key (FORMATS §6).
pub(super) fn unwrap_content_key(
    keep: &Keep,
    session: SessionId,
    recipient_info: &[u8],
) -> Result<Response, VaultError> {
    keep.with_session(session.0, RequestKind::UnwrapContentKey, |stage| {
        let root = stage.root()?;
        let info = RecipientInfo::from_der(recipient_info).map_err(|_| VaultError::RecipientRefused)?;
        let own = OwnKey { hash: root.public_key().hash(), issuer_serial: None };
        // The vault does not know the root certificate's name; the broker found it, and another's gives a random key.
        let named_otherwise = matches!(info.id(), RecipientId::IssuerSerial { .. });
        if !named_otherwise && !info.is_for(&own) {
            return Err(VaultError::RecipientRefused);
        }
        let key = root.unwrap(&info).map_err(root_error)?;
        // EXPOSE: the one thing the vault gives to the broker: the key of one object.
        Key256::from_slice(key.expose()).map(Response::ContentKey).ok_or(VaultError::Internal)
    })
}

pub(super) fn mac(keep: &Keep, session: SessionId, data: &[u8]) -> Result<Response, VaultError> {
    keep.with_session(session.0, RequestKind::Mac, |stage| Ok(Response::Tag(stage.root()?.mac(data))))
}

pub(super) fn lock(keep: &Keep, session: SessionId) -> Result<Response, VaultError> {
    keep.lock(session.0).map(|()| Response::Done)
}

fn credential_error(error: CredentialError) -> VaultError {
    match error {
        CredentialError::Damaged => VaultError::Damaged,
        CredentialError::Expired => VaultError::Expired,
        CredentialError::Inconsistent => VaultError::Inconsistent,
        CredentialError::MissingSlot(slot) => VaultError::MissingSlot(slot),
        CredentialError::NotYetValid => VaultError::NotYetValid,
        CredentialError::Operation => VaultError::Internal,
        CredentialError::UnusablePassphrase => VaultError::SecretUnusable,
        CredentialError::WrongPassphrase => VaultError::WrongPassphrase,
    }
}

fn root_error(error: RootError) -> VaultError {
    match error {
        RootError::NotLive => VaultError::CredentialNotLive,
        RootError::Operation => VaultError::Internal,
        RootError::SealForeign => VaultError::SealForeign,
        RootError::SealMissing => VaultError::SealMissing,
    }
}
