"""What the agent answers, as plain values."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Any

from life_agent._contract.life.agent.v1 import documents_pb2, types_pb2


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


class DocumentStatus(enum.Enum):
    """Whether a document is there."""

    CURRENT = documents_pb2.DOCUMENT_STATUS_CURRENT
    DELETED = documents_pb2.DOCUMENT_STATUS_DELETED


@dataclasses.dataclass(frozen=True)
class Coding:
    """A word from a code system, as FHIR's Coding."""

    code: str
    system: str = ""
    display: str = ""


@dataclasses.dataclass(frozen=True)
class Description:
    """What a document is, as its owner signed it; `document_reference` is FHIR's, JSON, empty in lists."""

    title: str
    type_: Coding | None
    content_type: str
    content_size: int
    create_time: datetime.datetime | None
    document_reference: bytes


@dataclasses.dataclass(frozen=True)
class Fault:
    """Why a description was refused: the stable reason, and what happened."""

    reason: str
    message: str


@dataclasses.dataclass(frozen=True)
class Document:
    """A document; `description` and `signature` are None when it was deleted, or the description refused."""

    document_id: str
    version: int
    owner: str
    status: DocumentStatus | None
    revision: int
    ciphertext_size: int
    create_time: datetime.datetime | None
    update_time: datetime.datetime | None
    description: Description | None
    signature: Signature | None
    readers: tuple[Recipient, ...]
    fault: Fault | None


@dataclasses.dataclass(frozen=True)
class Stored:
    """A stored version; `existed` when it was there from a call whose answer was lost: `readers` is then empty.

    `resumed_size` are the bytes of the sealed stream that an earlier call, which was cut, had sent already.
    """

    document_id: str
    version: int
    readers: tuple[Recipient, ...]
    plaintext_size: int
    ciphertext_size: int
    existed: bool
    resumed_size: int


@dataclasses.dataclass(frozen=True)
class Downloaded:
    """A document, and what is known of its content's signer and readers."""

    document: Document
    signature: Signature
    readers: tuple[Recipient, ...]
    plaintext_size: int


@dataclasses.dataclass(frozen=True)
class Unshared:
    """The version that a document has now, and who can open it."""

    version: int
    readers: tuple[Recipient, ...]


@dataclasses.dataclass(frozen=True)
class ApiAnswer:
    """An HTTP answer; `content` is empty where it went to a sink. The headers' names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    content: bytes
    size: int
    sent_size: int
    attempts: int

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for one, value in self.headers if one == name.lower()), None)


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened in the agent: `kind` is the event's name in the contract."""

    sequence: int
    kind: str
    time: datetime.datetime | None
    missed: int
    details: Any
