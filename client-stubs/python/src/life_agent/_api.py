"""Calling the platform's HTTP interface in a user's name."""

from __future__ import annotations

import dataclasses
import datetime
import io
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import grpc

from life_agent import errors, model
from life_agent._calls import UNARY_LIMIT, Transport
from life_agent._contract.life.agent.v1 import api_pb2
from life_agent._streams import Outgoing, chunks_of, receive

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class ApiCalls:
    """The part of Agent that calls the platform."""

    _transport: Transport

    def _acting(self, user: str | None) -> str:
        raise NotImplementedError

    def call(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        headers: Headers = (),
        user: str | None = None,
        time_limit: float | None = None,
    ) -> model.ApiAnswer:
        """Calls the server that the agent's configuration names; the answer's body has up to 16 MiB.

        Every HTTP status is an answer, not an error. `path` is absolute, with its query; `time_limit` is in seconds.
        Raises ApiCallForbidden for what the configuration does not allow, and MessageTooLarge for a longer answer:
        call_into takes any.
        """
        kept = _Kept()
        answer = self.call_into(kept, method, path, body, headers=headers, user=user, time_limit=time_limit)
        return dataclasses.replace(answer, content=kept.getvalue())

    def call_into(
        self,
        sink: BinaryIO,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        headers: Headers = (),
        user: str | None = None,
        time_limit: float | None = None,
    ) -> model.ApiAnswer:
        """As call, with the answer's body, of any size, into a sink. What it has got counts only once this returns."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        header = api_pb2.CallHeader(
            user=self._acting(user),
            method=method,
            path=path,
            headers=[api_pb2.HttpHeader(name=name, value=value) for name, value in pairs],
        )
        # Where the length is known the server learns it, and the agent need not wait for the end.
        content = b"" if body is None else body
        if isinstance(content, bytes):
            header.content_length = len(content)
        if time_limit is not None:
            header.time_limit.FromTimedelta(datetime.timedelta(seconds=time_limit))
        outgoing = Outgoing(api_pb2.CallRequest, header, chunks_of(content))
        heads: list[Any] = []
        try:
            result = receive(self._transport.call(self._transport.api.Call, iter(outgoing)), sink, heads)
        except grpc.RpcError as error:
            raise outgoing.told(error) from None
        if len(heads) != 1:
            raise errors.Internal("the agent gave an answer without a head")
        answer = heads[0].answer
        told = tuple((one.name, one.value) for one in answer.headers)
        return model.ApiAnswer(answer.status, told, b"", result.size, result.sent_size, result.attempts)


class _Kept(io.BytesIO):
    """An answer's body in memory, within bounds."""

    def write(self, chunk: Any) -> int:
        if self.tell() + len(chunk) > UNARY_LIMIT:
            raise errors.MessageTooLarge(f"the answer has more than {UNARY_LIMIT} bytes: use call_into")
        return super().write(chunk)
