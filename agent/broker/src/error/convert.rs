//! How the errors of the layers below become faults.

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
            VaultError::UnknownSession => Fault::CredentialLocked,
            VaultError::TooManySessions => Fault::TooManyIdentities,
            VaultError::TooManyPendings | VaultError::Busy => Fault::ResourceExhausted,
            VaultError::RecipientRefused => Fault::FormatRefused,
            VaultError::WrongSender | VaultError::WrongCertificate | VaultError::AttributesRefused => {
                Fault::SigningFailed
            }
            VaultError::ChallengeRefused | VaultError::CertificateRefused => Fault::PlatformUntrusted,
            VaultError::Malformed
            | VaultError::UnknownPending
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
