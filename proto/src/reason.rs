//! The reasons that `google.rpc.ErrorInfo` gives: stable names, each documented with the methods that give it.

/// Makes one constant per reason, named as it reads, and the list of all.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])* pub const $name: &str = stringify!($name);)*

        /// Every reason.
        pub const ALL: &[&str] = &[$($name,)*];
    };
}

reasons! {
    /// The account log breaks a rule of FORMATS §7.
    ACCOUNT_LOG_INVALID;
    /// The platform shows another history than the one pinned.
    ACCOUNT_LOG_FORKED;
    /// The platform shows less of the history than was pinned.
    ACCOUNT_LOG_ROLLED_BACK;
    /// The configuration allows no app the method on the path, or the header (`[api]`).
    API_CALL_FORBIDDEN;
    /// A detached signature came without its content.
    CONTENT_MISSING;
    /// The file with the credential cannot be read.
    CREDENTIAL_DAMAGED;
    /// A certificate of the credential has expired.
    CREDENTIAL_EXPIRED;
    /// The user is not unlocked, or was locked while the call ran.
    CREDENTIAL_LOCKED;
    /// A certificate of the credential is not valid yet: a clock is wrong.
    CREDENTIAL_NOT_YET_VALID;
    /// A certificate of the credential was revoked, or the account log revoked the credential.
    CREDENTIAL_REVOKED;
    /// The credential's certificates are not of this platform's CA.
    CREDENTIAL_UNTRUSTED;
    /// The deadline passed, the caller left its own stream without a message for longer than the configuration
    /// allows (`limits.input_stall_seconds`), or left the answer unread (`limits.stall_seconds`).
    DEADLINE_EXCEEDED;
    /// The content does not open, whatever the cause.
    DECRYPTION_FAILED;
    /// The platform shows another document, version or owner than was signed, or a description of another content.
    DOCUMENT_MISMATCH;
    /// No such document, or the user may not read it.
    DOCUMENT_NOT_FOUND;
    /// The platform stores no more documents for the user.
    DOCUMENTS_FULL;
    /// The given fingerprint is not that of the account.
    FINGERPRINT_MISMATCH;
    /// The bytes are not what the format says.
    FORMAT_INVALID;
    /// The bytes are well-formed, but of a form that the rules forbid.
    FORMAT_REFUSED;
    /// Several users are unlocked and the request names none.
    IDENTITY_AMBIGUOUS;
    /// The account was reset since it was pinned.
    IDENTITY_CHANGED;
    /// The recipient's inbox takes no more.
    INBOX_FULL;
    /// A fault of the agent itself.
    INTERNAL;
    /// A field of the request is missing or malformed; the metadata's `field` names it.
    INVALID_ARGUMENT;
    /// The file with the credential lacks one of the three key slots.
    KEY_SLOT_MISSING;
    /// No such message in the inbox.
    MESSAGE_NOT_FOUND;
    /// More bytes than the call takes.
    MESSAGE_TOO_LARGE;
    /// None of the envelope's recipients is the user.
    NOT_A_RECIPIENT;
    /// Only a document's owner may change it.
    NOT_THE_OWNER;
    /// The passphrase is shorter than 12 bytes.
    PASSPHRASE_TOO_SHORT;
    /// The caller may not call the method.
    PERMISSION_DENIED;
    /// The platform is another than the one that the agent is bound to.
    PLATFORM_MISMATCH;
    /// The agent is bound to no platform.
    PLATFORM_NOT_CONFIGURED;
    /// The platform refused the request for another reason than those named here.
    PLATFORM_REFUSED;
    /// The platform does not answer.
    PLATFORM_UNAVAILABLE;
    /// The platform is not the one whose fingerprint was given or pinned, or what it says does not verify.
    PLATFORM_UNTRUSTED;
    /// The person cancelled the prompt.
    PROMPT_CANCELLED;
    /// There is no pinentry program, or it failed.
    PROMPT_UNAVAILABLE;
    /// The signature was made for another purpose.
    PURPOSE_MISMATCH;
    /// The reader is not among the recipients that the sender signed.
    RECIPIENT_MISMATCH;
    /// The platform knows no such user.
    RECIPIENT_NOT_FOUND;
    /// The envelope has a recipient for whom nobody vouches.
    RECIPIENT_UNACCOUNTED;
    /// The recipient's certificate does not fit the platform's CA or the account log.
    RECIPIENT_UNTRUSTED;
    /// The registration was not finished in time, or the vault that had its keys is gone.
    REGISTRATION_EXPIRED;
    /// A registrar has to approve the registration first.
    REGISTRATION_PENDING;
    /// A registrar refused the registration.
    REGISTRATION_REFUSED;
    /// Too many calls at once.
    RESOURCE_EXHAUSTED;
    /// A root key seal that does not belong to the account log.
    ROOT_SEAL_FOREIGN;
    /// The platform has no root key seal for the credential.
    ROOT_SEAL_MISSING;
    /// The configuration forbids this source of a secret.
    SECRET_SOURCE_FORBIDDEN;
    /// The secret did not come in time.
    SECRET_TIMEOUT;
    /// The agent is stopping.
    SHUTTING_DOWN;
    /// The signature does not verify, or does not fit.
    SIGNATURE_INVALID;
    /// There is no signature, and the caller did not accept that.
    SIGNATURE_MISSING;
    /// The signer's certificate expired or was revoked, and nothing proves that the signature is older.
    SIGNER_TIME_UNPROVEN;
    /// The signer is not live in the sender's account log.
    SIGNER_UNKNOWN;
    /// The signature could not be made.
    SIGNING_FAILED;
    /// There is no room for the spool file.
    SPOOL_FULL;
    /// A file of the agent's own cannot be read or written, or was tampered with.
    STATE_UNUSABLE;
    /// The messages of a stream came out of order.
    STREAM_PROTOCOL;
    /// The sealed stream ends too early.
    STREAM_TRUNCATED;
    /// As many users are unlocked as the configuration allows.
    TOO_MANY_IDENTITIES;
    /// The agent knows no such method.
    UNIMPLEMENTED;
    /// The vault died, or does not answer.
    VAULT_UNAVAILABLE;
    /// The document is of another version than the caller says.
    VERSION_CONFLICT;
    /// The passphrase does not open the file.
    WRONG_PASSPHRASE;
    /// The credential is another user's than expected.
    WRONG_USER;
}
