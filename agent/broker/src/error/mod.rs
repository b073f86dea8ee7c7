//! What goes wrong, and how a caller learns of it: one table of faults, each with its status code, its reason, what
//! happened and what to do next.

mod convert;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use life_proto::{ERROR_DOMAIN, reason};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// A fault with what is known of its cause. Its text holds no content, no secret and no name of a user.
#[derive(Clone, Debug)]
pub struct Error {
    fault: Fault,
    why: Cow<'static, str>,
    /// What happened and what to do, where the usual words do not fit.
    told: Option<(&'static str, &'static str)>,
    metadata: Vec<(&'static str, String)>,
}

/// What the broker's functions give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! faults {
    ($($fault:ident $code:ident $reason:ident $what:literal, $why:literal, $next:literal;)*) => {
        /// Every fault a caller can learn of; [`reason`] documents each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($fault,)* }

        #[cfg(test)]
        const ALL: &[Fault] = &[$(Fault::$fault,)*];

        impl Fault {
            /// Code, reason, what happened, the usual cause, what to do.
            fn row(self) -> (Code, &'static str, &'static str, &'static str, &'static str) {
                match self { $(Self::$fault => (Code::$code, reason::$reason, $what, $why, $next),)* }
            }
        }
    };
}

faults! {
    AccountLogForked Aborted ACCOUNT_LOG_FORKED "the platform shows a false account history", "it differs from the one seen earlier", "do not go on; tell the platform's operator and the user by another channel";
    AccountLogInvalid DataLoss ACCOUNT_LOG_INVALID "the account log is not acceptable", "it breaks a rule of account logs", "tell the platform's operator";
    AccountLogRolledBack Aborted ACCOUNT_LOG_ROLLED_BACK "the platform shows an old account history", "it lacks entries seen earlier", "do not go on; tell the platform's operator";
    ApiCallForbidden PermissionDenied API_CALL_FORBIDDEN "the call is not allowed", "the agent's configuration allows no app this method on this path", "have its [api] section allow it if apps should do that";
    ContentMissing InvalidArgument CONTENT_MISSING "there is nothing to verify", "the signature is detached and no content came with it", "send the content too";
    CredentialDamaged InvalidArgument CREDENTIAL_DAMAGED "the credential cannot be read", "the file is damaged or not a PKCS#12 file with a MAC", "use a good copy of the file";
    CredentialExpired FailedPrecondition CREDENTIAL_EXPIRED "the credential is no longer valid", "one of its certificates has expired", "unlock with another credential, or renew this one";
    CredentialLocked FailedPrecondition CREDENTIAL_LOCKED "the user is not unlocked", "no credential of the user is open", "run `life unlock`, or call Credentials.Unlock";
    CredentialNotYetValid FailedPrecondition CREDENTIAL_NOT_YET_VALID "the credential is not valid yet", "one of its certificates begins later than this machine's time", "set this machine's clock";
    CredentialRevoked FailedPrecondition CREDENTIAL_REVOKED "the credential was revoked", "the platform or the account log no longer accepts it", "unlock with another credential";
    CredentialUntrusted FailedPrecondition CREDENTIAL_UNTRUSTED "the credential is not of this platform", "its certificates do not lead to the platform's CA", "check which platform the agent is bound to";
    DeadlineExceeded DeadlineExceeded DEADLINE_EXCEEDED "the call took too long", "its deadline passed", "try again with a later deadline";
    DecryptionFailed InvalidArgument DECRYPTION_FAILED "the content does not open", "it is damaged, or was not made for this user's key", "ask the sender for it again";
    DocumentMismatch DataLoss DOCUMENT_MISMATCH "the document is refused", "the platform shows another one than its owner signed", "do not rely on it; tell the platform's operator";
    DocumentNotFound NotFound DOCUMENT_NOT_FOUND "there is no such document", "the platform does not have it, or not for this user", "list the documents";
    DocumentsFull ResourceExhausted DOCUMENTS_FULL "the document was not stored", "the platform stores no more for this user", "delete documents that are no longer needed";
    FingerprintMismatch FailedPrecondition FINGERPRINT_MISMATCH "the fingerprint is not confirmed", "it differs from that of the account", "compare again with the person; if it still differs, do not go on";
    FormatInvalid InvalidArgument FORMAT_INVALID "the bytes are not readable", "they are not of the expected format", "check that the right file was given, whole";
    FormatRefused InvalidArgument FORMAT_REFUSED "the content is refused", "it has a form that the rules forbid", "ask the sender to make it with an up-to-date program";
    IdentityAmbiguous InvalidArgument IDENTITY_AMBIGUOUS "it is not clear on whose behalf to act", "several users are unlocked", "name one: `--as UID`, or the request's user";
    IdentityChanged FailedPrecondition IDENTITY_CHANGED "the account is not the one known", "it was reset since it was first seen", "compare fingerprints with the person, then confirm the new one";
    InboxFull ResourceExhausted INBOX_FULL "the message was not taken", "the recipient's inbox is full", "try again when the recipient has made room";
    Internal Internal INTERNAL "the agent failed", "of a fault of its own", "look at the agent's log and report it";
    InvalidArgument InvalidArgument INVALID_ARGUMENT "the request is not acceptable", "a field is missing or malformed", "correct the request";
    KeySlotMissing InvalidArgument KEY_SLOT_MISSING "the credential is not complete", "the file lacks one of the three key slots", "use the file that registration gave";
    MessageNotFound NotFound MESSAGE_NOT_FOUND "there is no such message", "the inbox does not have it", "list the inbox";
    MessageTooLarge InvalidArgument MESSAGE_TOO_LARGE "the content is too large", "the call takes less", "use the streaming call";
    NotARecipient FailedPrecondition NOT_A_RECIPIENT "the content is not for this user", "none of its recipients has the user's key", "act as another user, or ask the sender to share it";
    NotTheOwner PermissionDenied NOT_THE_OWNER "the document stays as it is", "only its owner may change it", "ask its owner";
    PassphraseTooShort InvalidArgument PASSPHRASE_TOO_SHORT "the passphrase is not accepted", "it has fewer than 12 bytes", "choose a longer one";
    PermissionDenied PermissionDenied PERMISSION_DENIED "the call is not allowed", "the caller runs as another user than the agent", "run it as the agent's own user";
    PlatformMismatch FailedPrecondition PLATFORM_MISMATCH "the agent is bound to another platform", "it keeps to the first one", "use an agent with another state folder for another platform";
    PlatformNotConfigured FailedPrecondition PLATFORM_NOT_CONFIGURED "there is no platform", "the agent is bound to none", "set platform.origin and platform.ca_fingerprint, or register with both";
    PlatformRefused FailedPrecondition PLATFORM_REFUSED "the platform refused", "it did not accept the request", "look at the platform's answer in the metadata";
    PlatformUnavailable Unavailable PLATFORM_UNAVAILABLE "the platform does not answer", "it cannot be reached", "check the network and try again";
    PlatformUntrusted FailedPrecondition PLATFORM_UNTRUSTED "the platform is not trusted", "what it shows does not fit the fingerprint of its CA", "compare the fingerprint with its operator's";
    PromptCancelled Cancelled PROMPT_CANCELLED "the secret was not given", "the prompt was cancelled", "try again";
    PromptUnavailable FailedPrecondition PROMPT_UNAVAILABLE "there is no prompt", "no pinentry program works here", "set unlock.pinentry, or give the secret through a descriptor";
    PurposeMismatch FailedPrecondition PURPOSE_MISMATCH "the signature is refused", "it was made for another purpose", "ask for the purpose it was made for";
    RecipientMismatch FailedPrecondition RECIPIENT_MISMATCH "the content is refused", "its sender did not sign it for this user", "ask the sender; somebody may have passed it on";
    RecipientNotFound NotFound RECIPIENT_NOT_FOUND "there is no such user", "the platform does not know the user id", "check the user id";
    RecipientUnaccounted FailedPrecondition RECIPIENT_UNACCOUNTED "the content is refused", "somebody can open it for whom neither sender nor sharer vouches", "ask the sender for it again";
    RecipientUntrusted FailedPrecondition RECIPIENT_UNTRUSTED "the user's certificate is not acceptable", "it fits neither the platform's CA nor the account log", "tell the platform's operator";
    RegistrationExpired FailedPrecondition REGISTRATION_EXPIRED "the registration is over", "it was not finished in time", "register anew";
    RegistrationPending FailedPrecondition REGISTRATION_PENDING "the registration waits", "a registrar has to approve it", "call again with the registration from the metadata";
    RegistrationRefused PermissionDenied REGISTRATION_REFUSED "the registration was refused", "a registrar decided so", "ask the platform's operator";
    ResourceExhausted ResourceExhausted RESOURCE_EXHAUSTED "the agent has too much to do", "as many calls run as it takes", "try again in a moment";
    RootSealForeign DataLoss ROOT_SEAL_FOREIGN "the root credential is refused", "its seal does not belong to the account", "tell the platform's operator";
    RootSealMissing NotFound ROOT_SEAL_MISSING "the root credential is not there", "the platform has no seal for this credential", "unlock with another credential";
    SecretSourceForbidden FailedPrecondition SECRET_SOURCE_FORBIDDEN "the secret was not taken", "the configuration forbids this source", "give it through a descriptor or a prompt";
    SecretTimeout DeadlineExceeded SECRET_TIMEOUT "the secret was not given", "it did not come in time", "try again";
    ShuttingDown Unavailable SHUTTING_DOWN "the agent is stopping", "it was told to", "start it again";
    SignatureInvalid FailedPrecondition SIGNATURE_INVALID "the signature is refused", "it does not verify, or does not fit", "ask the sender for it again";
    SignatureMissing FailedPrecondition SIGNATURE_MISSING "the content is refused", "it is not signed: anybody may have made it", "accept unsigned content in the request if that is right here";
    SignerTimeUnproven FailedPrecondition SIGNER_TIME_UNPROVEN "the signature is refused", "its signer's certificate is no longer valid, and no receipt proves that the signature is older", "give the platform's receipt, or ask the sender to sign again";
    SignerUnknown FailedPrecondition SIGNER_UNKNOWN "the signature is refused", "its signer is not in the sender's account log", "ask the sender; somebody may pose as them";
    SigningFailed Internal SIGNING_FAILED "nothing was signed", "the vault did not sign", "try again; then look at the agent's log";
    SpoolFull ResourceExhausted SPOOL_FULL "the content was not opened", "there is no room for it while it is verified", "make room in the agent's spool folder";
    StateUnusable FailedPrecondition STATE_UNUSABLE "the agent's own records are not usable", "a file cannot be read, written or trusted", "look at the agent's log";
    StreamProtocol InvalidArgument STREAM_PROTOCOL "the stream is not understood", "its messages came out of order", "send the header first, then chunks of 1 byte to 1 MiB";
    StreamTruncated InvalidArgument STREAM_TRUNCATED "the content is not complete", "it ends too early", "fetch it again";
    TooManyIdentities ResourceExhausted TOO_MANY_IDENTITIES "the user was not unlocked", "as many users are unlocked as the configuration allows", "lock one first";
    Unimplemented Unimplemented UNIMPLEMENTED "there is no such method", "this version of the agent does not have it", "update the agent";
    VaultUnavailable Unavailable VAULT_UNAVAILABLE "the vault does not answer", "it died or was restarted; everything is locked", "unlock again";
    VersionConflict Aborted VERSION_CONFLICT "the document is of another version", "it changed meanwhile, or its id was taken already", "look at it as it is now, and name that version";
    WrongPassphrase Unauthenticated WRONG_PASSPHRASE "the credential did not open", "the passphrase is wrong", "try again";
    WrongUser FailedPrecondition WRONG_USER "the credential is not accepted", "it belongs to another user than expected", "use the right file, or name its user";
}

impl Fault {
    /// The stable reason.
    pub fn reason(self) -> &'static str {
        self.row().1
    }

    /// The fault with a cause that is known better than the usual one: a clause, lower case, no full stop.
    pub fn because(self, why: impl Into<Cow<'static, str>>) -> Error {
        Error { fault: self, why: why.into(), told: None, metadata: Vec::new() }
    }

    /// The fault with something for programs to read.
    pub fn with(self, key: &'static str, value: impl Into<String>) -> Error {
        Error::from(self).with(key, value)
    }
}

impl Error {
    /// A field that is missing or malformed.
    pub fn field(field: &'static str, why: &'static str) -> Self {
        Fault::InvalidArgument.because(format!("{field} {why}")).with("field", field)
    }

    /// A fault of our own; logged here, with a cause that holds nothing of the user's.
    pub fn internal(why: impl fmt::Display) -> Self {
        tracing::error!(%why, "internal fault");
        Fault::Internal.into()
    }

    /// Adds something for programs to read, in the place of what was there under the same key.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.metadata.retain(|(name, _)| *name != key);
        self.metadata.push((key, value.into()));
        self
    }

    /// Says in other words what happened and what to do; the reason stays.
    #[must_use]
    pub fn told_as(self, what: &'static str, next: &'static str) -> Self {
        Self { told: Some((what, next)), ..self }
    }

    /// What was added under a key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }

    /// Whether it lies in the content itself: another content may be good.
    pub fn is_about_content(&self) -> bool {
        use Fault as F;
        matches!(
            self.fault,
            F::DecryptionFailed
                | F::DocumentMismatch
                | F::FormatInvalid
                | F::FormatRefused
                | F::NotARecipient
                | F::PurposeMismatch
                | F::RecipientMismatch
                | F::RecipientUnaccounted
                | F::SignatureInvalid
                | F::SignatureMissing
                | F::SignerTimeUnproven
                | F::SignerUnknown
                | F::AccountLogForked
                | F::AccountLogInvalid
                | F::AccountLogRolledBack
                | F::IdentityChanged
                | F::RecipientNotFound
                | F::RecipientUntrusted
        )
    }

    /// Which fault it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        fault.because(fault.row().3)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, _, what, _, next) = self.fault.row();
        let (what, next) = self.told.unwrap_or((what, next));
        write!(out, "{what}: {}; {next}", self.why)
    }
}

impl std::error::Error for Error {}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let (code, reason, ..) = error.fault.row();
        let message = error.to_string();
        let metadata: HashMap<String, String> =
            error.metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata);
        Self::with_error_details(code, message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_fault_and_every_message_reads_as_a_sentence() {
        let mut reasons: Vec<_> = ALL.iter().map(|fault| fault.reason()).collect();
        reasons.sort_unstable();
        let mut known = reason::ALL.to_vec();
        known.sort_unstable();
        assert_eq!(reasons, known);
        for fault in ALL {
            let text = Error::from(*fault).to_string();
            assert!(text.split_once(": ").is_some_and(|(_, rest)| rest.contains("; ")), "{text}");
            assert!(!text.ends_with('.') && text.starts_with(char::is_lowercase), "{text}");
        }
    }

    #[test]
    fn a_status_carries_reason_domain_and_metadata() {
        let status = Status::from(Error::field("recipients[3]", "is not a user name"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_ARGUMENT", "agent.life.v1"));
        assert_eq!(info.metadata.get("field").map(String::as_str), Some("recipients[3]"));
    }

    #[test]
    fn what_is_said_later_counts() {
        let error = Fault::VersionConflict.with("current_version", "2").with("current_version", "3");
        assert_eq!(error.metadata("current_version"), Some("3"));
        let error = Fault::PlatformUntrusted.because("it lies").told_as("the server lies", "look elsewhere");
        assert_eq!(error.to_string(), "the server lies: it lies; look elsewhere");
        assert_eq!(error.fault().reason(), "PLATFORM_UNTRUSTED");
    }
}
