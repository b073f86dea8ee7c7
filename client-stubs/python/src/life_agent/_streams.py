"""Both sides of a stream: what a program sends, and what the agent answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import grpc

from life_agent import errors

# The largest chunk of the contract.
_CHUNK = 1024 * 1024


class Outgoing:
    """A caller's side of a stream: a header, then chunks; remembers why its source failed."""

    def __init__(self, kind: Any, header: Any, source: Iterator[bytes]) -> None:
        self._kind, self._header, self._source = kind, header, source
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[Any]:
        yield self._kind(header=self._header)
        try:
            for chunk in self._source:
                # However large the caller's pieces are, the contract's are not.
                view = memoryview(chunk)
                for offset in range(0, len(view), _CHUNK):
                    yield self._kind(chunk=bytes(view[offset : offset + _CHUNK]))
        except Exception as error:
            # Raised again in the request's thread, where gRPC cancels the call: an end would mean that all was sent.
            self.failure = error
            raise

    def told(self, error: grpc.RpcError) -> BaseException:
        """Why the call failed: the source, if it was that, else the agent."""
        return self.failure or errors.from_rpc(error)


def chunks_of(content: bytes | Iterable[bytes]) -> Iterator[bytes]:
    """Bytes as an iterator of chunks."""
    return iter([content]) if isinstance(content, bytes) else iter(content)


def receive(stream: Any, sink: BinaryIO, heads: list[Any] | None = None) -> Any:
    """Writes the chunks of a stream; gives its result. Ends the call when the sink fails.

    Other messages go to `heads`.
    """
    try:
        result = None
        for answer in stream:
            kind = answer.WhichOneof("message")
            if kind == "chunk":
                _write_all(sink, answer.chunk)
            elif kind == "result":
                result = answer.result
            elif heads is not None:
                heads.append(answer)
    finally:
        stream.cancel()
    if result is None:
        raise errors.Internal("the agent ended the stream without a result")
    return result


def _write_all(sink: BinaryIO, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        written = sink.write(view)
        # A raw file may take less than all; other sinks take everything.
        view = view[written if written is not None else len(view) :]
