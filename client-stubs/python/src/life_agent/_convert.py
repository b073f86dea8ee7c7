"""The contract's messages as values of model, and names as the contract spells them."""

from __future__ import annotations

import datetime
import enum
from typing import Any

from life_agent.model import (
    Coding,
    Description,
    Document,
    DocumentStatus,
    Fault,
    Identity,
    Origin,
    Purpose,
    Recipient,
    Signature,
    SignatureState,
    Trust,
)


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


def document_of(document: Any) -> Document:
    """A document."""
    described = document.description if document.HasField("description") else None
    return Document(
        document_id=document.document_id,
        version=document.version,
        owner=uid_of(document.owner) or "",
        status=member(DocumentStatus, document.status),
        revision=document.revision,
        ciphertext_size=document.ciphertext_size,
        create_time=time_of(document, "create_time"),
        update_time=time_of(document, "update_time"),
        description=None if described is None else _description_of(described),
        signature=signature_of(document.signature) if document.HasField("signature") else None,
        readers=recipients_of(document.readers),
        fault=Fault(document.fault.reason, document.fault.message) if document.HasField("fault") else None,
    )


def _description_of(described: Any) -> Description:
    type_ = described.type
    return Description(
        title=described.title,
        type_=Coding(type_.code, type_.system, type_.display) if described.HasField("type") else None,
        content_type=described.content_type,
        content_size=described.content_size,
        create_time=time_of(described, "create_time"),
        document_reference=described.document_reference,
    )
