"""The agent, as a Python program sees it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import grpc

from life_agent import _convert, _socket, errors, model
from life_agent._api import ApiCalls
from life_agent._calls import Transport, raising
from life_agent._contract.life.agent.v1 import (
    accounts_pb2,
    agent_pb2,
    credentials_pb2,
    directory_pb2,
)
from life_agent._crypto import CryptoCalls
from life_agent._documents import DocumentCalls
from life_agent._messages import MessageCalls

# The largest PKCS#12 file the agent takes.
_PKCS12_LIMIT = 64 * 1024


class Agent(ApiCalls, CryptoCalls, DocumentCalls, MessageCalls):
    """A connection to the agent on this machine. Threads may share it.

    The socket is found as the command line finds it: `socket`, else LIFE_AGENT_SOCKET, else
    $XDG_RUNTIME_DIR/life/agent.sock, else ~/.life/run/agent.sock. The app's token comes from LIFE_APP_TOKEN.

    In every call `user` says on whose behalf, as a user id; None means the `user` given here, else the only unlocked
    one. Every refusal is raised as a class of life_agent.errors, by its reason.
    """

    def __init__(self, socket: str | os.PathLike[str] | None = None, *, user: str | None = None) -> None:
        self._transport = Transport(_socket.find(socket))
        self._user = user

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection, and whatever runs on it."""
        self._transport.channel.close()

    @property
    def socket(self) -> str:
        """The path of the agent's socket."""
        return self._transport.path

    # State

    @raising
    def status(self) -> model.Status:
        """How the agent is. Raises AgentUnavailable when none answers."""
        answer = self._transport.call(self._transport.agent.GetStatus, agent_pb2.GetStatusRequest())
        return model.Status(
            version=answer.version,
            broker_pid=answer.broker.pid if answer.HasField("broker") else None,
            vault_pid=answer.vault.pid if answer.HasField("vault") else None,
            vault_restarts=answer.vault_restarts,
            descriptor_socket=answer.descriptor_socket,
            identities=tuple(map(_convert.identity_of, answer.identities)),
            platform=answer.platform.origin if answer.HasField("platform") else None,
            platform_up=answer.platform.up,
        )

    def events(self) -> Iterator[model.Event]:
        """What happens in the agent, as it happens, without end; the first is `watch_started`."""
        stream = self._transport.call(self._transport.agent.WatchEvents, agent_pb2.WatchEventsRequest())
        try:
            for event in stream:
                kind = event.WhichOneof("event") or "unknown"
                details = getattr(event, kind, None)
                time = _convert.time_of(event, "time")
                yield model.Event(event.sequence, kind, time, event.missed, details)
        except grpc.RpcError as error:
            raise errors.from_rpc(error) from None
        finally:
            stream.cancel()

    # Unlocking and locking

    @raising
    def unlock(
        self,
        pkcs12: bytes | os.PathLike[str] | str,
        passphrase: str | bytes | None = None,
        *,
        user: str | None = None,
        inline: bool = False,
    ) -> model.Identity:
        """Unlocks a software certificate, given as bytes or as the path of a PKCS#12 file.

        The passphrase goes to the vault through a descriptor, past the broker; `inline` sends it with the request,
        which a policy can forbid. Without one the agent asks the person, through its pinentry program. With `user`
        fails with WrongUser when the certificate is somebody else's.
        """
        name = ""
        if not isinstance(pkcs12, bytes):
            name = os.fsencode(pkcs12).decode(errors="replace")
            with open(pkcs12, "rb") as file:
                pkcs12 = file.read(_PKCS12_LIMIT + 1)
        if len(pkcs12) > _PKCS12_LIMIT:
            raise errors.CredentialDamaged(f"a software certificate has at most {_PKCS12_LIMIT} bytes")
        passphrase = _secret_of(passphrase)
        if passphrase is None:
            secret = credentials_pb2.Secret(prompt=credentials_pb2.PromptSource())
        elif inline:
            secret = credentials_pb2.Secret(inline=passphrase)
        else:
            secret = credentials_pb2.Secret(descriptor=credentials_pb2.DescriptorSource())
        request = credentials_pb2.UnlockRequest(
            user=_convert.name_of(user),
            software_certificate=credentials_pb2.SoftwareCertificate(pkcs12=pkcs12, file_name=name),
            secret=secret,
        )
        for step in self._transport.call(self._transport.credentials.Unlock, request, secret=True):
            if step.HasField("identity"):
                return _convert.identity_of(step.identity)
            if step.HasField("ticket") and passphrase is not None:
                _socket.give(step.ticket.socket, step.ticket.ticket, passphrase)
        raise errors.Internal("the agent ended the unlock without a result")

    @raising
    def lock(self, user: str | None = None) -> int:
        """Locks one user, or everybody, at once. Gives how many were unlocked."""
        if user is None:
            return self._transport.call(self._transport.agent.Lock, agent_pb2.LockRequest()).locked_count
        request = credentials_pb2.LockCredentialRequest(user=_convert.name_of(user))
        return int(self._transport.call(self._transport.credentials.Lock, request).was_unlocked)

    # Accounts

    @raising
    def register(
        self,
        kind: model.Kind,
        passphrase: str | bytes | None = None,
        *,
        platform: str = "",
        ca_fingerprint: str = "",
        registration: str = "",
        inline: bool = False,
    ) -> model.Registered:
        """Registers a new user with a software certificate; takes seconds. Unlock it afterwards.

        The passphrase of 12 bytes or more that will protect the certificate goes to the vault as in `unlock`; without one
        the agent asks the person.

        Raises RegistrationPending when a registrar must approve it; its metadata has the `registration` to go on with.
        """
        passphrase = _secret_of(passphrase)
        if passphrase is None:
            secret = credentials_pb2.NewSecret(prompt=credentials_pb2.PromptSource())
        elif inline:
            secret = credentials_pb2.NewSecret(inline=passphrase)
        else:
            secret = credentials_pb2.NewSecret(descriptor=credentials_pb2.NewDescriptorSource())
        request = accounts_pb2.RegisterUserRequest(
            kind=kind.value,
            software_certificate=accounts_pb2.NewSoftwareCertificate(secret=secret),
            platform_origin=platform,
            ca_fingerprint=ca_fingerprint,
            registration=registration,
        )
        for step in self._transport.call(self._transport.accounts.RegisterUser, request, secret=True):
            if step.HasField("registered"):
                done = step.registered
                return model.Registered(done.user.uid, done.user.fingerprint, done.pkcs12)
            if step.HasField("ticket") and passphrase is not None:
                _socket.give(step.ticket.socket, step.ticket.ticket, passphrase)
        raise errors.Internal("the agent ended the registration without a result")

    # Other users

    @raising
    def lookup(self, uid: str, *, user: str | None = None) -> model.User:
        """Looks a user up, verifies the account and pins it."""
        request = directory_pb2.LookupUserRequest(name=_convert.name_of(uid), caller=self._acting(user))
        found = self._transport.call(self._transport.directory.LookupUser, request).user
        return model.User(
            uid=_convert.uid_of(found.name) or "",
            kind=_convert.member(model.Kind, found.kind),
            trust=_convert.member(model.Trust, found.trust),
            certificate=found.certificate,
            issuers=tuple(found.issuers),
            generation=found.generation,
            fingerprint=found.fingerprint,
        )

    @raising
    def fingerprint(self, uid: str, *, user: str | None = None) -> model.Fingerprint:
        """The short fingerprint of an account, for two people to compare."""
        request = directory_pb2.GetFingerprintRequest(name=_convert.name_of(uid), caller=self._acting(user))
        return _fingerprint(self._transport.call(self._transport.directory.GetFingerprint, request))

    @raising
    def confirm_fingerprint(self, uid: str, digits: str, *, user: str | None = None) -> model.Fingerprint:
        """Records that a person compared the fingerprint; the only way out of IdentityChanged."""
        request = directory_pb2.ConfirmFingerprintRequest(
            name=_convert.name_of(uid), fingerprint=digits, caller=self._acting(user)
        )
        return _fingerprint(self._transport.call(self._transport.directory.ConfirmFingerprint, request))

    def _acting(self, user: str | None) -> str:
        return _convert.name_of(user if user is not None else self._user)

    @staticmethod
    def _names(users: Iterable[str]) -> list[str]:
        if isinstance(users, str):
            users = [users]
        return [_convert.name_of(one) for one in users]


def _secret_of(passphrase: str | bytes | None) -> bytes | None:
    if isinstance(passphrase, str):
        passphrase = passphrase.encode()
    return passphrase if passphrase is None else _socket.check_secret(passphrase)


def _fingerprint(answer: directory_pb2.Fingerprint) -> model.Fingerprint:
    trust = _convert.member(model.Trust, answer.trust)
    return model.Fingerprint(_convert.uid_of(answer.name) or "", answer.fingerprint, trust)
