//! How the errors of the layers below become faults.

use life_pki::account_log::{LogError, PinError};
use life_vault_protocol::VaultError;

use super::{Error, Fault};

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        let fault = match error {
            VaultError::SecretTimeout => Fault::SecretTimeout,
            VaultError::PromptCancelled | VaultError::SecretWithdrawn => Fault::PromptCancelled,
            VaultError::PromptFailed => Fault::PromptUnavailable,
            VaultError::SecretUnusable => Fault::WrongPassphrase,
            VaultError::WrongPassphrase => Fault::WrongPassphrase,
            VaultError::SecretTooShort => Fault::PassphraseTooShort,
            VaultError::SecretsDiffer => {
                return Error::field("software_certificate.secret", "was not the same both times");
            }
            VaultError::SecretUndelivered => {
                return Error::field("software_certificate.secret", "has a descriptor that takes no secret");
            }
            VaultError::Damaged | VaultError::Inconsistent => Fault::CredentialDamaged,
            VaultError::Expired => Fault::CredentialExpired,
            VaultError::NotYetValid => Fault::CredentialNotYetValid,
            VaultError::WrongUser => Fault::WrongUser,
            VaultError::MissingSlot(slot) => {
                return Fault::KeySlotMissing
                    .because(format!("it has no usable {slot} key"))
                    .with("slot", slot.name());
            }
            VaultError::LogInvalid => Fault::AccountLogInvalid,
            VaultError::CredentialNotLive => Fault::CredentialRevoked,
            VaultError::SealMissing => Fault::RootSealMissing,
            VaultError::SealForeign => Fault::RootSealForeign,
            VaultError::UnknownPending => {
                return Fault::RegistrationExpired.because("the vault no longer has the new account's keys");
            }
            VaultError::UnknownSession => Fault::CredentialLocked,
            VaultError::TooManySessions => Fault::TooManyIdentities,
            VaultError::TooManyPendings | VaultError::Busy => Fault::ResourceExhausted,
            VaultError::OutOfMemory => {
                return Fault::ResourceExhausted
                    .because("the vault's memory for keys is almost used up")
                    .told_as("the vault takes no more", "lock a user, or try again in a moment");
            }
            VaultError::MemoryNotLocked => Fault::VaultUnavailable,
            VaultError::RecipientRefused => Fault::FormatRefused,
            VaultError::WrongSender | VaultError::WrongCertificate | VaultError::AttributesRefused => {
                Fault::SigningFailed
            }
            VaultError::ChallengeRefused | VaultError::CertificateRefused => Fault::PlatformUntrusted,
            VaultError::Malformed
            | VaultError::WrongState
            | VaultError::TlsInputRefused
            | VaultError::Internal => return Error::internal(format_args!("the vault says: {error}")),
        };
        match error {
            VaultError::SecretUnusable | VaultError::Inconsistent => fault.because(error.to_string()),
            _ => fault.into(),
        }
    }
}

impl From<LogError> for Error {
    fn from(error: LogError) -> Self {
        Fault::AccountLogInvalid.because(error.to_string())
    }
}

impl From<PinError> for Error {
    fn from(error: PinError) -> Self {
        match error {
            PinError::Forked => Fault::AccountLogForked.into(),
            PinError::IdentityChanged => Fault::IdentityChanged.into(),
            PinError::Invalid(error) => error.into(),
            PinError::RolledBack => Fault::AccountLogRolledBack.into(),
        }
    }
}

impl From<life_envelope::Error> for Error {
    fn from(error: life_envelope::Error) -> Self {
        use life_envelope::{Error as Envelope, SignatureFault, StreamFault};
        let fault = match error {
            Envelope::DecryptionFailed => return Fault::DecryptionFailed.into(),
            Envelope::Key(error) => return Self::internal(error),
            Envelope::NotARecipient => return Fault::NotARecipient.into(),
            Envelope::Malformed => Fault::FormatInvalid,
            Envelope::Refused(_) => Fault::FormatRefused,
            Envelope::Signature(SignatureFault::ContentMissing) => return Fault::ContentMissing.into(),
            Envelope::Signature(SignatureFault::PurposeMismatch) => return Fault::PurposeMismatch.into(),
            Envelope::Signature(SignatureFault::RecipientMismatch) => return Fault::RecipientMismatch.into(),
            Envelope::Signature(_) => Fault::SignatureInvalid,
            Envelope::Stream(StreamFault::Truncated) => return Fault::StreamTruncated.into(),
            Envelope::Stream(
                StreamFault::Magic
                | StreamFault::SegmentLength
                | StreamFault::Ended
                | StreamFault::TrailerMismatch,
            ) => Fault::FormatInvalid,
            Envelope::Stream(StreamFault::Version) => Fault::FormatRefused,
            Envelope::Stream(
                StreamFault::CommitmentMismatch
                | StreamFault::DigestMismatch
                | StreamFault::DocumentMismatch
                | StreamFault::LengthMismatch,
            ) => Fault::SignatureInvalid,
            Envelope::TooLarge => Fault::FormatInvalid,
        };
        fault.because(error.to_string())
    }
}
