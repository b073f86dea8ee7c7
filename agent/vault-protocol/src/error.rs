//! Why the vault refused, by stable number.

use life_pki::KeySlot;

pub use crate::codec::DecodeError;
use crate::codec::{Reader, Sink};

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why the vault refused or failed. It never says more than the broker may know.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum VaultError {
            $($(#[$doc])* #[error($text)] $name,)*
            /// The file has no entry for this slot.
            #[error("the credential has no usable {0} key")]
            MissingSlot(KeySlot),
        }

        impl VaultError {
            /// Every error.
            pub const ALL: &'static [Self] = &[
                $(Self::$name,)*
                Self::MissingSlot(KeySlot::Authentication),
                Self::MissingSlot(KeySlot::Signature),
                Self::MissingSlot(KeySlot::Encryption),
            ];

            /// The number on the wire.
            #[must_use]
            pub fn number(self) -> u8 {
                match self {
                    $(Self::$name => $number,)*
                    Self::MissingSlot(_) => MISSING_SLOT,
                }
            }

            fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }
        }
    };
}

const MISSING_SLOT: u8 = 32;

errors! {
    /// The body is not a well-formed request, or descriptors are missing or too many.
    Malformed = 1, "the request is not well-formed";
    /// No such pending account.
    UnknownPending = 2, "there is no such pending account";
    /// No such session: never there, or locked.
    UnknownSession = 3, "there is no such session";
    /// The table does not allow this request in this state.
    WrongState = 4, "the request is not allowed in this state";
    /// All sessions are in use.
    TooManySessions = 5, "too many sessions are open";
    /// All places for pending accounts are in use.
    TooManyPendings = 6, "too many accounts are pending";
    /// Too many requests wait.
    Busy = 7, "too many requests are waiting";
    /// An operation failed that does not fail with correct inputs.
    Internal = 8, "the operation failed";
    /// Said once, to no request, by a vault that then ends: it may not lock as much memory as it needs.
    MemoryNotLocked = 9, "the memory for keys could not be locked";
    /// What the request would need of the memory for secrets might not be there.
    OutOfMemory = 10, "the memory for secrets is almost used up";

    /// The secret did not come in time.
    SecretTimeout = 16, "the secret did not come in time";
    /// The person closed the prompt.
    PromptCancelled = 17, "the prompt was cancelled";
    /// pinentry ended, or did not speak its protocol.
    PromptFailed = 18, "the prompt failed";
    /// Nothing came, too much, or something that is no text.
    SecretUnusable = 19, "the secret is empty, too long or no text";
    /// It was given up by CancelSecret, LockAll or LockUser.
    SecretWithdrawn = 20, "the wait for the secret was given up";

    /// A new secret has too few bytes.
    SecretTooShort = 21, "the new secret has fewer than 12 bytes";
    /// A new secret was not the same both times.
    SecretsDiffer = 22, "the new secret was not the same both times";
    /// The descriptor for a secret that the vault made did not take it.
    SecretUndelivered = 23, "the new secret could not be handed over";

    /// The passphrase does not open the file.
    WrongPassphrase = 33, "the passphrase does not open the file";
    /// The file is damaged, has no MAC, or asks for absurd work.
    Damaged = 34, "the file is damaged or not a usable PKCS#12 file";
    /// A certificate is past its validity.
    Expired = 35, "a certificate of the credential has expired";
    /// A certificate is not yet valid.
    NotYetValid = 36, "a certificate of the credential is not yet valid";
    /// Keys, certificates and users of the slots do not belong together.
    Inconsistent = 37, "the keys and certificates of the credential do not belong together";
    /// The credential is another user's.
    WrongUser = 38, "the credential belongs to another user";

    /// The account log does not verify, or is another user's.
    LogInvalid = 48, "the account log does not verify";
    /// The account log does not contain this credential, or has revoked it.
    CredentialNotLive = 49, "the credential is not live in the account log";
    /// No seal is meant for this credential.
    SealMissing = 50, "there is no root key seal for this credential";
    /// A seal opens but belongs to another user, credential or root key, or does not open.
    SealForeign = 51, "the root key seal does not belong to this account";

    /// The attributes are not those of FORMATS §4.
    AttributesRefused = 64, "the signed attributes are not well-formed";
    /// The attributes name another sender than the session's user.
    WrongSender = 65, "the signed attributes name another sender";
    /// The attributes name another certificate than the session's.
    WrongCertificate = 66, "the signed attributes name another certificate";
    /// The input is not that of a TLS 1.3 client's CertificateVerify.
    TlsInputRefused = 67, "the input is not that of a TLS 1.3 client";
    /// The RecipientInfo is not well-formed, or not for the root credential.
    RecipientRefused = 68, "the recipient entry is not for this root credential";

    /// The challenge does not open, or names another purpose, user, slot or key.
    ChallengeRefused = 80, "the challenge is not for this account";
    /// A certificate does not carry the pending account's key and user, or a slot has none.
    CertificateRefused = 81, "the certificates are not for this account";
}

impl VaultError {
    pub(crate) fn encode(self, out: &mut impl Sink) {
        out.u8(self.number());
        if let Self::MissingSlot(slot) = self {
            out.u8(slot.number());
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = input.u8()?;
        if number == MISSING_SLOT {
            return KeySlot::from_number(input.u8()?).map(Self::MissingSlot).ok_or(DecodeError);
        }
        Self::from_number(number).ok_or(DecodeError)
    }
}
