//! Why a credential does not open.

use life_pki::KeySlot;

/// Why a software certificate is not usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The file is not a PKCS#12 file in DER, was changed, has no MAC, uses a scheme that is not supported, or asks
    /// for an absurd amount of work.
    #[error("the file is damaged or not a usable PKCS#12 file")]
    Damaged,
    /// A certificate is past its validity.
    #[error("a certificate has expired")]
    Expired,
    /// Keys, certificates and users do not belong together, or a slot has two keys.
    #[error("the keys and certificates do not belong together")]
    Inconsistent,
    /// There is no key with a certificate of this slot's profile.
    #[error("there is no usable {0} key")]
    MissingSlot(KeySlot),
    /// A certificate is not yet valid.
    #[error("a certificate is not yet valid")]
    NotYetValid,
    /// AWS-LC, or the encoder of a file, failed.
    #[error("the operation failed")]
    Operation,
    /// The passphrase is empty or has characters that PKCS#12 cannot hold (outside the Basic Multilingual Plane).
    #[error("the passphrase is empty or has characters that the format cannot hold")]
    UnusablePassphrase,
    /// The passphrase does not open the file.
    #[error("the passphrase does not open the file")]
    WrongPassphrase,
}

/// Why a root credential does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The account log does not have this credential, or has revoked it, or is another user's.
    #[error("the credential is not live in the account log")]
    NotLive,
    /// AWS-LC failed.
    #[error("the operation failed")]
    Operation,
    /// A seal is meant for this credential but does not open, or holds what the account log does not name.
    #[error("the root key seal does not belong to this account")]
    SealForeign,
    /// No seal of the current generation is meant for this credential.
    #[error("there is no root key seal for this credential")]
    SealMissing,
}
