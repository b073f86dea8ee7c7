"""Calling the agent: the channel, and errors as ours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from life_agent import _socket, errors
from life_agent._contract.life.agent.v1 import (
    accounts_pb2_grpc,
    agent_pb2_grpc,
    api_pb2_grpc,
    credentials_pb2_grpc,
    crypto_pb2_grpc,
    directory_pb2_grpc,
    documents_pb2_grpc,
    messages_pb2_grpc,
)

MIB = 1024 * 1024
UNARY_LIMIT = 16 * MIB

_OPTIONS = [
    # A Unix socket has no host; servers refuse a path in its place.
    ("grpc.default_authority", "localhost"),
    ("grpc.max_receive_message_length", UNARY_LIMIT + MIB),
    ("grpc.max_send_message_length", UNARY_LIMIT + MIB),
    # What makes bulk streams fast over a Unix socket.
    ("grpc.http2.max_frame_size", 256 * 1024),
    ("grpc.http2.lookahead_bytes", 2 * MIB),
    ("grpc.enable_http_proxy", 0),
]

Result = TypeVar("Result")


class Transport:
    """A channel to the agent and the stubs on it."""

    def __init__(self, path: str) -> None:
        token = _socket.token()
        self.path = path
        self._checked = False
        self.metadata = (("life-app-token", token),) if token else ()
        self.channel = grpc.insecure_channel(f"unix:{path}", options=_OPTIONS)
        self.accounts = accounts_pb2_grpc.AccountsStub(self.channel)
        self.agent = agent_pb2_grpc.AgentStub(self.channel)
        self.api = api_pb2_grpc.ApiStub(self.channel)
        self.credentials = credentials_pb2_grpc.CredentialsStub(self.channel)
        self.crypto = crypto_pb2_grpc.CryptoStub(self.channel)
        self.directory = directory_pb2_grpc.DirectoryStub(self.channel)
        self.documents = documents_pb2_grpc.DocumentsStub(self.channel)
        self.messages = messages_pb2_grpc.MessagesStub(self.channel)

    def call(self, method: Any, request: Any, *, secret: bool = False) -> Any:
        """A call, or the start of a stream. Looks first whose agent this is: once, and before every secret."""
        if secret or not self._checked:
            _socket.check_owner(self.path)
            self._checked = True
        return method(request, metadata=self.metadata)


def raising(function: Callable[..., Result]) -> Callable[..., Result]:
    """Raises errors of the agent as LifeError."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Result:
        try:
            return function(*args, **kwargs)
        except grpc.RpcError as error:
            raise errors.from_rpc(error) from None

    return wrapper
