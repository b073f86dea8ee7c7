"""What the agent answers, as plain values."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Any

from life_agent._contract.life.agent.v1 import types_pb2


class SignatureState(enum.Enum):
    """The verdict on a signature. Anything but VALID is no proof of the sender."""

    NONE = types_pb2.SIGNATURE_STATE_NONE
    VALID = types_pb2.SIGNATURE_STATE_VALID
    INVALID = types_pb2.SIGNATURE_STATE_INVALID
    SIGNER_TIME_UNPROVEN = types_pb2.SIGNATURE_STATE_SIGNER_TIME_UNPROVEN
    SIGNER_UNKNOWN = types_pb2.SIGNATURE_STATE_SIGNER_UNKNOWN


class Trust(enum.Enum):
    """How well the agent knows another user's account."""

    FIRST_USE = types_pb2.TRUST_STATE_FIRST_USE
    PINNED = types_pb2.TRUST_STATE_PINNED
    CONFIRMED = types_pb2.TRUST_STATE_CONFIRMED


class Purpose(enum.Enum):
    """What a signature is for."""

    DOCUMENT = types_pb2.SIGNATURE_PURPOSE_DOCUMENT
    MESSAGE = types_pb2.SIGNATURE_PURPOSE_MESSAGE
    SHARE = types_pb2.SIGNATURE_PURPOSE_SHARE
    DETACHED = types_pb2.SIGNATURE_PURPOSE_DETACHED


class Kind(enum.Enum):
    """Who takes part."""

    PATIENT = types_pb2.PARTICIPANT_KIND_PATIENT
    INSTITUTION = types_pb2.PARTICIPANT_KIND_INSTITUTION
    HEALTH_CARE_PROFESSIONAL = types_pb2.PARTICIPANT_KIND_HEALTH_CARE_PROFESSIONAL


class Origin(enum.Enum):
    """How a recipient came to be one."""

    SIGNED = types_pb2.Recipient.ORIGIN_SIGNED
    SHARED = types_pb2.Recipient.ORIGIN_SHARED
    UNACCOUNTED = types_pb2.Recipient.ORIGIN_UNACCOUNTED


@dataclasses.dataclass(frozen=True)
class Signature:
    """What is known of a signature and its signer."""

    state: SignatureState
    signer: str | None = None
    trust: Trust | None = None
    signing_time: datetime.datetime | None = None
    receipt_time: datetime.datetime | None = None
    purpose: Purpose | None = None
    explanation: str | None = None
    document_id: str | None = None
    document_version: int | None = None
    digest: bytes = b""

    @property
    def valid(self) -> bool:
        """Whether the signature proves its signer."""
        return self.state is SignatureState.VALID


@dataclasses.dataclass(frozen=True)
class Recipient:
    """One who can open a content; `user` is None when nobody vouches for it."""

    user: str | None
    root_key_hash: bytes
    origin: Origin | None
    shared_by: str | None = None
    trust: Trust | None = None


@dataclasses.dataclass(frozen=True)
class Encrypted:
    """An encrypted content; `envelope` is empty where it went to a file."""

    envelope: bytes
    document_id: str
    signature_digest: bytes
    recipients: tuple[Recipient, ...]
    plaintext_size: int


@dataclasses.dataclass(frozen=True)
class Decrypted:
    """An opened content; `plaintext` is empty where it went to a file."""

    plaintext: bytes
    signature: Signature
    recipients: tuple[Recipient, ...]
    plaintext_size: int


@dataclasses.dataclass(frozen=True)
class Verified:
    """A verdict; `content` is that of an attached signature, and only when valid."""

    signature: Signature
    content: bytes
    content_size: int


@dataclasses.dataclass(frozen=True)
class Identity:
    """An unlocked user."""

    uid: str
    credential: str
    unlock_time: datetime.datetime | None
    expire_time: datetime.datetime | None
    generation: int


@dataclasses.dataclass(frozen=True)
class Status:
    """How the agent is."""

    version: str
    broker_pid: int | None
    vault_pid: int | None
    vault_restarts: int
    descriptor_socket: str
    identities: tuple[Identity, ...]
    platform: str | None
    platform_up: bool


@dataclasses.dataclass(frozen=True)
class User:
    """Another user's account, verified and pinned."""

    uid: str
    kind: Kind | None
    trust: Trust | None
    certificate: bytes
    issuers: tuple[bytes, ...]
    generation: int
    fingerprint: str


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """The short fingerprint of an account."""

    uid: str
    digits: str
    trust: Trust | None


@dataclasses.dataclass(frozen=True)
class Registered:
    """A new user; `pkcs12` is the software certificate, of which the agent keeps no copy."""

    uid: str
    fingerprint: str
    pkcs12: bytes


@dataclasses.dataclass(frozen=True)
class Message:
    """What the platform knows of a message; its depositor is proven only once it is opened."""

    message_id: str
    depositor: str
    size: int
    deposit_time: datetime.datetime | None


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in the agent: `kind` is the event's name in the contract."""

    sequence: int
    kind: str
    time: datetime.datetime | None
    missed: int
    details: Any


def uid_of(name: str) -> str | None:
    """The bare user id of `users/{uid}`; None for no name."""
    return name.removeprefix("users/") or None


def name_of(user: str | None) -> str:
    """`users/{uid}` of a user id, a resource name or a URN; empty for None."""
    if not user:
        return ""
    return "users/" + user.removeprefix("users/").removeprefix("urn:uuid:").lower()


def member(kind: type[enum.Enum], value: int) -> Any:
    """The member with a value; None for one that is not set or not known here."""
    try:
        return kind(value)
    except ValueError:
        return None


def time_of(message: Any, field: str) -> datetime.datetime | None:
    """A time, in UTC; None where it is not set."""
    return getattr(message, field).ToDatetime(datetime.timezone.utc) if message.HasField(field) else None


def signature_of(report: Any) -> Signature:
    """A signature's report."""
    return Signature(
        state=member(SignatureState, report.state) or SignatureState.NONE,
        signer=uid_of(report.signer),
        trust=member(Trust, report.trust),
        signing_time=time_of(report, "signing_time"),
        receipt_time=time_of(report, "receipt_time"),
        purpose=member(Purpose, report.purpose),
        explanation=report.explanation or None,
        document_id=report.document_id or None,
        document_version=report.document_version or None,
        digest=report.signature_digest,
    )


def recipients_of(recipients: Any) -> tuple[Recipient, ...]:
    """A list of recipients."""
    return tuple(
        Recipient(
            user=uid_of(one.user),
            root_key_hash=one.root_key_hash,
            origin=member(Origin, one.origin),
            shared_by=uid_of(one.shared_by),
            trust=member(Trust, one.trust),
        )
        for one in recipients
    )


def identity_of(identity: Any) -> Identity:
    """An unlocked identity."""
    return Identity(
        uid=uid_of(identity.user) or "",
        credential=identity.credential,
        unlock_time=time_of(identity, "unlock_time"),
        expire_time=time_of(identity, "expire_time"),
        generation=identity.generation,
    )
