"""Errors: one class for each reason of the agent, so that a program can catch just what it can handle.

Each has the stable `reason`, the agent's `message` (what happened, why, what to do), its `metadata` and the gRPC
`code`. All are LifeError.
"""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError

from life_agent._contract import life_error_info_pb2

DOMAIN = "agent.life.v1"
_DETAILS = "grpc-status-details-bin"


class LifeError(Exception):
    """Whatever the agent refuses, or this package finds out."""

    reason: str = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        metadata: dict[str, str] | None = None,
        code: grpc.StatusCode | None = None,
    ) -> None:
        super().__init__(message)
        if reason is not None:
            self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.code = code

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"


class AgentUnavailable(LifeError):
    """No agent answers. Start one with: life-agentd."""

    reason = "AGENT_UNAVAILABLE"


class NotConfigured(LifeError):
    """The environment names a socket or a token that cannot be."""

    reason = "NOT_CONFIGURED"


class OutputExists(LifeError, FileExistsError):
    """The output file exists already; it was left as it is."""

    reason = "OUTPUT_EXISTS"


class AccountLogInvalid(LifeError):
    """The account log breaks a rule of FORMATS §7."""

    reason = "ACCOUNT_LOG_INVALID"


class AccountLogForked(LifeError):
    """The platform shows another history than the one pinned."""

    reason = "ACCOUNT_LOG_FORKED"


class AccountLogRolledBack(LifeError):
    """The platform shows less of the history than was pinned."""

    reason = "ACCOUNT_LOG_ROLLED_BACK"


class ContentMissing(LifeError):
    """A detached signature came without its content."""

    reason = "CONTENT_MISSING"


class CredentialDamaged(LifeError):
    """The file with the credential cannot be read."""

    reason = "CREDENTIAL_DAMAGED"


class CredentialExpired(LifeError):
    """A certificate of the credential has expired."""

    reason = "CREDENTIAL_EXPIRED"


class CredentialLocked(LifeError):
    """The user is not unlocked, or was locked while the call ran."""

    reason = "CREDENTIAL_LOCKED"


class CredentialNotYetValid(LifeError):
    """A certificate of the credential is not valid yet: a clock is wrong."""

    reason = "CREDENTIAL_NOT_YET_VALID"


class CredentialRevoked(LifeError):
    """A certificate of the credential was revoked, or the account log revoked the credential."""

    reason = "CREDENTIAL_REVOKED"


class CredentialUntrusted(LifeError):
    """The credential's certificates are not of this platform's CA."""

    reason = "CREDENTIAL_UNTRUSTED"


class DeadlineExceeded(LifeError):
    """The deadline passed."""

    reason = "DEADLINE_EXCEEDED"


class DecryptionFailed(LifeError):
    """The content does not open, whatever the cause."""

    reason = "DECRYPTION_FAILED"


class FingerprintMismatch(LifeError):
    """The given fingerprint is not that of the account."""

    reason = "FINGERPRINT_MISMATCH"


class FormatInvalid(LifeError):
    """The bytes are not what the format says."""

    reason = "FORMAT_INVALID"


class FormatRefused(LifeError):
    """The bytes are well-formed, but of a form that the rules forbid."""

    reason = "FORMAT_REFUSED"


class IdentityAmbiguous(LifeError):
    """Several users are unlocked and the request names none."""

    reason = "IDENTITY_AMBIGUOUS"


class IdentityChanged(LifeError):
    """The account was reset since it was pinned."""

    reason = "IDENTITY_CHANGED"


class InboxFull(LifeError):
    """The recipient's inbox takes no more."""

    reason = "INBOX_FULL"


class Internal(LifeError):
    """A fault of the agent itself."""

    reason = "INTERNAL"


class InvalidArgument(LifeError):
    """A field of the request is missing or malformed; the metadata's `field` names it."""

    reason = "INVALID_ARGUMENT"


class KeySlotMissing(LifeError):
    """The file with the credential lacks one of the three key slots."""

    reason = "KEY_SLOT_MISSING"


class MessageNotFound(LifeError):
    """No such message in the inbox."""

    reason = "MESSAGE_NOT_FOUND"


class MessageTooLarge(LifeError):
    """More bytes than the call takes."""

    reason = "MESSAGE_TOO_LARGE"


class NotARecipient(LifeError):
    """None of the envelope's recipients is the user."""

    reason = "NOT_A_RECIPIENT"


class PassphraseTooShort(LifeError):
    """The passphrase is shorter than 12 bytes."""

    reason = "PASSPHRASE_TOO_SHORT"


class PermissionDenied(LifeError):
    """The caller may not call the method."""

    reason = "PERMISSION_DENIED"


class PlatformMismatch(LifeError):
    """The platform is another than the one that the agent is bound to."""

    reason = "PLATFORM_MISMATCH"


class PlatformNotConfigured(LifeError):
    """The agent is bound to no platform."""

    reason = "PLATFORM_NOT_CONFIGURED"


class PlatformRefused(LifeError):
    """The platform refused the request for another reason than those named here."""

    reason = "PLATFORM_REFUSED"


class PlatformUnavailable(LifeError):
    """The platform does not answer."""

    reason = "PLATFORM_UNAVAILABLE"


class PlatformUntrusted(LifeError):
    """The platform is not the one whose fingerprint was given or pinned, or what it says does not verify."""

    reason = "PLATFORM_UNTRUSTED"


class PromptCancelled(LifeError):
    """The person cancelled the prompt."""

    reason = "PROMPT_CANCELLED"


class PromptUnavailable(LifeError):
    """There is no pinentry program, or it failed."""

    reason = "PROMPT_UNAVAILABLE"


class PurposeMismatch(LifeError):
    """The signature was made for another purpose."""

    reason = "PURPOSE_MISMATCH"


class RecipientMismatch(LifeError):
    """The reader is not among the recipients that the sender signed."""

    reason = "RECIPIENT_MISMATCH"


class RecipientNotFound(LifeError):
    """The platform knows no such user."""

    reason = "RECIPIENT_NOT_FOUND"


class RecipientUnaccounted(LifeError):
    """The envelope has a recipient for whom nobody vouches."""

    reason = "RECIPIENT_UNACCOUNTED"


class RecipientUntrusted(LifeError):
    """The recipient's certificate does not fit the platform's CA or the account log."""

    reason = "RECIPIENT_UNTRUSTED"


class RegistrationExpired(LifeError):
    """The registration was not finished in time."""

    reason = "REGISTRATION_EXPIRED"


class RegistrationPending(LifeError):
    """A registrar has to approve the registration first."""

    reason = "REGISTRATION_PENDING"


class RegistrationRefused(LifeError):
    """A registrar refused the registration."""

    reason = "REGISTRATION_REFUSED"


class ResourceExhausted(LifeError):
    """Too many calls at once."""

    reason = "RESOURCE_EXHAUSTED"


class RootSealForeign(LifeError):
    """A root key seal that does not belong to the account log."""

    reason = "ROOT_SEAL_FOREIGN"


class RootSealMissing(LifeError):
    """The platform has no root key seal for the credential."""

    reason = "ROOT_SEAL_MISSING"


class SecretSourceForbidden(LifeError):
    """The configuration forbids this source of a secret."""

    reason = "SECRET_SOURCE_FORBIDDEN"


class SecretTimeout(LifeError):
    """The secret did not come in time."""

    reason = "SECRET_TIMEOUT"


class ShuttingDown(LifeError):
    """The agent is stopping."""

    reason = "SHUTTING_DOWN"


class SignatureInvalid(LifeError):
    """The signature does not verify, or does not fit."""

    reason = "SIGNATURE_INVALID"


class SignatureMissing(LifeError):
    """There is no signature, and the caller did not accept that."""

    reason = "SIGNATURE_MISSING"


class SignerTimeUnproven(LifeError):
    """The signer's certificate expired or was revoked, and nothing proves that the signature is older."""

    reason = "SIGNER_TIME_UNPROVEN"


class SignerUnknown(LifeError):
    """The signer is not live in the sender's account log."""

    reason = "SIGNER_UNKNOWN"


class SigningFailed(LifeError):
    """The signature could not be made."""

    reason = "SIGNING_FAILED"


class SpoolFull(LifeError):
    """There is no room for the spool file."""

    reason = "SPOOL_FULL"


class StateUnusable(LifeError):
    """A file of the agent's own cannot be read or written, or was tampered with."""

    reason = "STATE_UNUSABLE"


class StreamProtocol(LifeError):
    """The messages of a stream came out of order."""

    reason = "STREAM_PROTOCOL"


class StreamTruncated(LifeError):
    """The sealed stream ends too early."""

    reason = "STREAM_TRUNCATED"


class TooManyIdentities(LifeError):
    """As many users are unlocked as the configuration allows."""

    reason = "TOO_MANY_IDENTITIES"


class Unimplemented(LifeError):
    """The agent knows no such method."""

    reason = "UNIMPLEMENTED"


class VaultUnavailable(LifeError):
    """The vault died, or does not answer."""

    reason = "VAULT_UNAVAILABLE"


class WrongPassphrase(LifeError):
    """The passphrase does not open the file."""

    reason = "WRONG_PASSPHRASE"


class WrongUser(LifeError):
    """The credential is another user's than expected."""

    reason = "WRONG_USER"


_CLASSES: dict[str, type[LifeError]] = {cls.reason: cls for cls in LifeError.__subclasses__()}
"""Each reason's class."""

# What is not the agent's own word.
_LOCAL = {"AGENT_UNAVAILABLE", "NOT_CONFIGURED", "OUTPUT_EXISTS"}
REASONS: frozenset[str] = frozenset(_CLASSES) - _LOCAL
"""Every reason of the agent."""


def error_class(reason: str) -> type[LifeError]:
    """The class of a reason; LifeError for one that a newer agent may have."""
    return _CLASSES.get(reason, LifeError)


def from_rpc(error: grpc.RpcError) -> LifeError:
    """What a gRPC error says, as one of ours."""
    code, message = error.code(), error.details() or ""
    info = _info(error)
    if info is not None:
        metadata = dict(info.metadata)
        return error_class(info.reason)(message, reason=info.reason, metadata=metadata, code=code)
    if code is grpc.StatusCode.UNAVAILABLE:
        return AgentUnavailable(f"no agent answers: {message}; start one with life-agentd", code=code)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded("the call took longer than its deadline allowed: give it more time", code=code)
    name = code.name if code is not None else "UNKNOWN"
    return error_class(name)(message, reason=name, code=code)


def _info(error: grpc.RpcError) -> life_error_info_pb2.ErrorInfo | None:
    """The agent's ErrorInfo; none where there is none, or none that can be read."""
    try:
        for key, value in error.trailing_metadata() or ():
            if key != _DETAILS or not isinstance(value, bytes):
                continue
            for detail in life_error_info_pb2.Status.FromString(value).details:
                if detail.type_url.rpartition("/")[2] == "google.rpc.ErrorInfo":
                    info = life_error_info_pb2.ErrorInfo.FromString(detail.value)
                    if info.domain == DOMAIN:
                        return info
    except DecodeError:
        pass
    return None
