"""Errors: one class for each reason of the agent, so that a program can catch just what it can handle.

Each has the stable `reason`, the agent's `message` (what happened, why, what to do), its `metadata` and the gRPC
`code`. All are LifeError. The classes are made from the contract's list of reasons, `proto/src/reason.rs`.
"""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError

from life_agent._contract import life_error_info_pb2, reasons
from life_agent._contract.reasons import *  # noqa: F403
from life_agent._life_error import LifeError

__all__ = [  # noqa: PLE0604
    *reasons.__all__,
    "DOMAIN",
    "REASONS",
    "AgentUnavailable",
    "LifeError",
    "NotConfigured",
    "OutputExists",
    "error_class",
    "from_rpc",
]

DOMAIN = "agent.life.v1"
_DETAILS = "grpc-status-details-bin"


class AgentUnavailable(LifeError):
    """No agent answers. Start one with: life-agentd."""

    reason = "AGENT_UNAVAILABLE"


class NotConfigured(LifeError):
    """The environment names a socket or a token that cannot be."""

    reason = "NOT_CONFIGURED"


class OutputExists(LifeError, FileExistsError):
    """The output file exists already; it was left as it is."""

    reason = "OUTPUT_EXISTS"


REASONS: frozenset[str] = frozenset(reasons.CLASSES)
"""Every reason of the agent."""

_CLASSES: dict[str, type[LifeError]] = {
    **reasons.CLASSES,
    **{cls.reason: cls for cls in (AgentUnavailable, NotConfigured, OutputExists)},
}
for _class in (LifeError, *reasons.CLASSES.values()):
    # Where a program finds them.
    _class.__module__ = __name__


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
