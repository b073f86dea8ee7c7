"""The class above all errors."""

from __future__ import annotations

import grpc


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
