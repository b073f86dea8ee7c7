//! What the agent's reasons mean for a person at a terminal: an exit code and what to do next.

use crate::exit::Exit;

/// A reason of `google.rpc.ErrorInfo`, the exit code it leads to, and advice beyond the agent's own message.
struct Meaning {
    reason: &'static str,
    exit: Exit,
    advice: Option<&'static str>,
}

const fn plain(reason: &'static str, exit: Exit) -> Meaning {
    Meaning { reason, exit, advice: None }
}

const fn advised(reason: &'static str, exit: Exit, advice: &'static str) -> Meaning {
    Meaning { reason, exit, advice: Some(advice) }
}

/// Every reason of the contract, in alphabetical order.
const MEANINGS: &[Meaning] = &[
    plain("ACCOUNT_LOG_FORKED", Exit::Data),
    plain("ACCOUNT_LOG_INVALID", Exit::Data),
    plain("ACCOUNT_LOG_ROLLED_BACK", Exit::Data),
    plain("API_CALL_FORBIDDEN", Exit::NoPermission),
    advised("CONTENT_MISSING", Exit::Usage, "name the signed file: life verify --content FILE SIGNATURE"),
    plain("CREDENTIAL_DAMAGED", Exit::Data),
    plain("CREDENTIAL_EXPIRED", Exit::NoPermission),
    advised("CREDENTIAL_LOCKED", Exit::NoPermission, "unlock it: life unlock FILE.p12"),
    plain("CREDENTIAL_NOT_YET_VALID", Exit::NoPermission),
    plain("CREDENTIAL_REVOKED", Exit::NoPermission),
    plain("CREDENTIAL_UNTRUSTED", Exit::Data),
    plain("DEADLINE_EXCEEDED", Exit::Temporary),
    plain("DECRYPTION_FAILED", Exit::Data),
    plain("DOCUMENTS_FULL", Exit::Temporary),
    plain("DOCUMENT_MISMATCH", Exit::Data),
    plain("DOCUMENT_NOT_FOUND", Exit::NoInput),
    plain("FINGERPRINT_MISMATCH", Exit::Data),
    plain("FORMAT_INVALID", Exit::Data),
    plain("FORMAT_REFUSED", Exit::Data),
    advised("IDENTITY_AMBIGUOUS", Exit::Usage, "say who acts: --as UID, or set LIFE_USER"),
    advised(
        "IDENTITY_CHANGED",
        Exit::Data,
        "ask the other person for the new fingerprint, then: life user fingerprint UID --confirm DIGITS",
    ),
    plain("INBOX_FULL", Exit::Temporary),
    plain("INTERNAL", Exit::Software),
    plain("INVALID_ARGUMENT", Exit::Usage),
    plain("KEY_SLOT_MISSING", Exit::Data),
    plain("MESSAGE_NOT_FOUND", Exit::NoInput),
    plain("MESSAGE_TOO_LARGE", Exit::Data),
    plain("NOT_A_RECIPIENT", Exit::NoPermission),
    plain("NOT_THE_OWNER", Exit::NoPermission),
    plain("PASSPHRASE_TOO_SHORT", Exit::Usage),
    plain("PERMISSION_DENIED", Exit::NoPermission),
    plain("PLATFORM_MISMATCH", Exit::Config),
    plain("PLATFORM_NOT_CONFIGURED", Exit::Config),
    plain("PLATFORM_REFUSED", Exit::NoPermission),
    plain("PLATFORM_UNAVAILABLE", Exit::Unavailable),
    plain("PLATFORM_UNTRUSTED", Exit::Data),
    plain("PROMPT_CANCELLED", Exit::NoPermission),
    advised("PROMPT_UNAVAILABLE", Exit::Unavailable, "leave --prompt away to be asked on this terminal"),
    plain("PURPOSE_MISMATCH", Exit::Data),
    plain("RECIPIENT_MISMATCH", Exit::Data),
    plain("RECIPIENT_NOT_FOUND", Exit::NoUser),
    plain("RECIPIENT_UNACCOUNTED", Exit::Data),
    plain("RECIPIENT_UNTRUSTED", Exit::Data),
    plain("REGISTRATION_EXPIRED", Exit::Data),
    advised(
        "REGISTRATION_PENDING",
        Exit::Temporary,
        "once a registrar has approved it, run the same command with --resume REGISTRATION",
    ),
    plain("REGISTRATION_REFUSED", Exit::NoPermission),
    plain("RESOURCE_EXHAUSTED", Exit::Temporary),
    plain("ROOT_SEAL_FOREIGN", Exit::Data),
    plain("ROOT_SEAL_MISSING", Exit::Data),
    advised("SECRET_SOURCE_FORBIDDEN", Exit::NoPermission, "leave --inline away"),
    plain("SECRET_TIMEOUT", Exit::Temporary),
    plain("SHUTTING_DOWN", Exit::Unavailable),
    plain("SIGNATURE_INVALID", Exit::Data),
    plain("SIGNATURE_MISSING", Exit::Data),
    plain("SIGNER_TIME_UNPROVEN", Exit::Data),
    plain("SIGNER_UNKNOWN", Exit::Data),
    plain("SIGNING_FAILED", Exit::Software),
    plain("SPOOL_FULL", Exit::Io),
    plain("STATE_UNUSABLE", Exit::Config),
    plain("STREAM_PROTOCOL", Exit::Software),
    plain("STREAM_TRUNCATED", Exit::Data),
    plain("TOO_MANY_IDENTITIES", Exit::Temporary),
    advised(
        "UNIMPLEMENTED",
        Exit::Unavailable,
        "the agent is older than this program: install both from one release",
    ),
    plain("VAULT_UNAVAILABLE", Exit::Unavailable),
    advised(
        "VERSION_CONFLICT",
        Exit::Temporary,
        "see what is there: life documents show ID, then name its version with --expect-version",
    ),
    plain("WRONG_PASSPHRASE", Exit::NoPermission),
    plain("WRONG_USER", Exit::NoPermission),
];

fn meaning(reason: &str) -> Option<&'static Meaning> {
    MEANINGS.iter().find(|meaning| meaning.reason == reason)
}

/// The exit code a reason leads to, if the reason is known.
pub fn exit(reason: &str) -> Option<Exit> {
    meaning(reason).map(|meaning| meaning.exit)
}

/// What a person at a terminal can do about a reason, beyond what the agent's message says.
pub fn advice(reason: &str) -> Option<&'static str> {
    meaning(reason).and_then(|meaning| meaning.advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_unique() {
        assert!(MEANINGS.windows(2).all(|pair| pair[0].reason < pair[1].reason));
    }

    #[test]
    fn every_reason_of_the_contract_has_a_meaning_and_no_other() {
        for reason in life_proto::reason::ALL {
            assert!(meaning(reason).is_some(), "{reason} has no exit code");
        }
        for meaning in MEANINGS {
            assert!(life_proto::reason::ALL.contains(&meaning.reason), "{} is no reason", meaning.reason);
        }
    }
}
