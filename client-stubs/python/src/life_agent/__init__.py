"""A thin client of the LIFE agent: encrypt, decrypt, sign, verify and send, without touching a key.

    from life_agent import Agent

    with Agent() as agent:
        sealed = agent.encrypt(b"HbA1c 6.1 %", to=[patient])
        opened = agent.decrypt(sealed.envelope, user=patient)
        assert opened.signature.valid
"""

from life_agent import errors
from life_agent.agent import Agent
from life_agent.errors import LifeError
from life_agent.model import (
    ApiAnswer,
    Coding,
    Decrypted,
    Description,
    Document,
    DocumentStatus,
    Downloaded,
    Encrypted,
    Event,
    Fault,
    Fingerprint,
    Identity,
    Kind,
    Message,
    Origin,
    Purpose,
    Recipient,
    Registered,
    Signature,
    SignatureState,
    Status,
    Stored,
    Trust,
    Unshared,
    User,
    Verified,
)

__all__ = [
    "Agent",
    "ApiAnswer",
    "Coding",
    "Decrypted",
    "Description",
    "Document",
    "DocumentStatus",
    "Downloaded",
    "Encrypted",
    "Event",
    "Fault",
    "Fingerprint",
    "Identity",
    "Kind",
    "LifeError",
    "Message",
    "Origin",
    "Purpose",
    "Recipient",
    "Registered",
    "Signature",
    "SignatureState",
    "Status",
    "Stored",
    "Trust",
    "Unshared",
    "User",
    "Verified",
    "errors",
]
