//! The key bundle: the private keys of a working credential that is a secret, wrapped under a key that comes from the secret
//! (FORMATS §6). The platform keeps it and can do nothing with it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use der::asn1::OctetStringRef;
use der::{Encode, Sequence};
use life_pki::account_log::CredentialId;
use life_pki::asn1::decode_canonical;
use life_pki::{PrivateKey, Uid};
use life_sys::secret::Key256;
use zeroize::Zeroizing;

/// The largest bundle: three RSA-4096 keys take 7.2 KiB.
pub const MAX_BUNDLE: usize = 16 * 1024;

/// The one version there is. It names the suite as well: HKDF-SHA256 and AES-256-GCM.
const VERSION: u8 = 1;
const SALT_LEN: usize = 32;
const INFO: &[u8] = b"LIFE key bundle v1";
/// The key is derived with a fresh salt and wraps one bundle.
const NONCE: [u8; 12] = [0; 12];

/// Why a key bundle does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not a key bundle, or its keys are none.
    #[error("the key bundle is damaged")]
    Damaged,
    /// Another secret's, user's or credential's, or it was changed.
    #[error("the key bundle does not belong to this secret, user and credential")]
    Foreign,
    /// AWS-LC, or the encoder, failed.
    #[error("the operation failed")]
    Operation,
    /// A version that this program does not know. None is read but the newest: nobody can offer an older one.
    #[error("the key bundle has an unknown version")]
    UnknownVersion,
}

#[derive(Sequence)]
struct Wrapped<'a> {
    version: u8,
    salt: &'a OctetStringRef,
    sealed: &'a OctetStringRef,
}

/// Whose the keys are: what the seal is bound to.
#[derive(Sequence)]
struct Owner<'a> {
    version: u8,
    uid: &'a OctetStringRef,
    credential: &'a OctetStringRef,
}

/// The three keys, each a PKCS#8 PrivateKeyInfo.
#[derive(Sequence)]
struct Keys<'a> {
    authentication: &'a OctetStringRef,
    signature: &'a OctetStringRef,
    encryption: &'a OctetStringRef,
}

/// Wraps the keys of the slots [`crate::WORKING_SLOTS`], in their order, for one credential of one user.
///
/// # Errors
/// [`BundleError::Operation`] when AWS-LC or the encoder fails.
pub fn wrap(
    keys: [&PrivateKey; 3],
    uid: Uid,
    credential: CredentialId,
    wrapping_key: &Key256,
) -> Result<Vec<u8>, BundleError> {
    // EXPOSE: into the contents, which are encrypted in place next; the place is wiped.
    let [authentication, signature, encryption] = keys.map(|key| octets(key.to_pkcs8().expose()));
    let contents = Keys { authentication: authentication?, signature: signature?, encryption: encryption? };
    let mut place = Zeroizing::new(Vec::with_capacity(MAX_BUNDLE));
    contents.encode_to_vec(&mut place).map_err(|_| BundleError::Operation)?;
    let mut salt = [0; SALT_LEN];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| BundleError::Operation)?;
    cipher(wrapping_key, &salt)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(NONCE), owner(uid, credential)?, &mut *place)
        .map_err(|_| BundleError::Operation)?;
    let bundle = Wrapped { version: VERSION, salt: octets(&salt)?, sealed: octets(&place)? };
    bundle.to_der().map_err(|_| BundleError::Operation)
}

/// Unwraps the keys of the slots [`crate::WORKING_SLOTS`], in their order.
///
/// # Errors
/// [`BundleError`], a reason for each.
pub fn unwrap(
    bundle: &[u8],
    uid: Uid,
    credential: CredentialId,
    wrapping_key: &Key256,
) -> Result<[PrivateKey; 3], BundleError> {
    let bundle = read(bundle)?;
    let mut place = Zeroizing::new(bundle.sealed.as_bytes().to_vec());
    let contents = cipher(wrapping_key, bundle.salt.as_bytes())?
        .open_in_place(Nonce::assume_unique_for_key(NONCE), owner(uid, credential)?, &mut place)
        .map_err(|_| BundleError::Foreign)?;
    read_keys(contents)
}

fn read(bundle: &[u8]) -> Result<Wrapped<'_>, BundleError> {
    if bundle.len() > MAX_BUNDLE {
        return Err(BundleError::Damaged);
    }
    let bundle: Wrapped<'_> = decode_canonical(bundle).map_err(|_| BundleError::Damaged)?;
    if bundle.version != VERSION {
        return Err(BundleError::UnknownVersion);
    }
    if bundle.salt.as_bytes().len() != SALT_LEN {
        return Err(BundleError::Damaged);
    }
    Ok(bundle)
}

/// Reads what a bundle holds.
pub(crate) fn read_keys(contents: &[u8]) -> Result<[PrivateKey; 3], BundleError> {
    let keys: Keys<'_> = decode_canonical(contents).map_err(|_| BundleError::Damaged)?;
    // EXPOSE: read into keys; what was opened is wiped.
    let key =
        |pkcs8: &OctetStringRef| PrivateKey::from_pkcs8(pkcs8.as_bytes()).map_err(|_| BundleError::Damaged);
    Ok([key(keys.authentication)?, key(keys.signature)?, key(keys.encryption)?])
}

fn cipher(wrapping_key: &Key256, salt: &[u8]) -> Result<LessSafeKey, BundleError> {
    // EXPOSE: into the derivation of the key that is used for this bundle alone.
    let prk = Salt::new(HKDF_SHA256, salt).extract(wrapping_key.expose());
    let okm = prk.expand(&[INFO], &AES_256_GCM).map_err(|_| BundleError::Operation)?;
    Ok(LessSafeKey::new(UnboundKey::from(okm)))
}

fn owner(uid: Uid, credential: CredentialId) -> Result<Aad<Vec<u8>>, BundleError> {
    let owner = Owner { version: VERSION, uid: octets(uid.as_bytes())?, credential: octets(&credential.0)? };
    owner.to_der().map(Aad::from).map_err(|_| BundleError::Operation)
}

fn octets(bytes: &[u8]) -> Result<&OctetStringRef, BundleError> {
    OctetStringRef::new(bytes).map_err(|_| BundleError::Operation)
}
