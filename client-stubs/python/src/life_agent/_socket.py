"""Finding the agent's socket, and handing a secret over beside it."""

from __future__ import annotations

import os
import pathlib
import socket

from life_agent.errors import AgentUnavailable, NotConfigured

_PATH_LIMIT = 107
_TAKEN = b"\0"
_PATIENCE_SECONDS = 10


def find(path: str | os.PathLike[str] | None = None) -> str:
    """The agent's socket: as given, else $LIFE_AGENT_SOCKET, $XDG_RUNTIME_DIR/life/agent.sock, ~/.life/run/agent.sock.

    Raises NotConfigured for a path too long for a socket.
    """
    if path is None:
        path = os.environ.get("LIFE_AGENT_SOCKET")
    if not path:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        path = f"{runtime}/life/agent.sock" if runtime else pathlib.Path.home() / ".life/run/agent.sock"
    path = os.path.abspath(os.fspath(path))
    if len(os.fsencode(path)) > _PATH_LIMIT:
        raise NotConfigured(f"{path} is too long: a Unix socket's path has at most {_PATH_LIMIT} bytes")
    return path


def token() -> str | None:
    """The calling app's token, from LIFE_APP_TOKEN."""
    text = os.environ.get("LIFE_APP_TOKEN") or None
    if text is not None and not (text.isascii() and text.isprintable()):
        raise NotConfigured("LIFE_APP_TOKEN is no token: it has characters no token has")
    return text


def pipe_with(secret: bytes) -> int:
    """A pipe that holds a secret, its writing end closed: gives the reading end."""
    reader, writer = os.pipe()
    try:
        # A pipe holds 64 KiB: a passphrase never waits for a reader.
        os.write(writer, secret)
    finally:
        os.close(writer)
    return reader


def hand_over(path: str, ticket: bytes, descriptor: int) -> None:
    """Sends ticket and descriptor over the agent's descriptor socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(_PATIENCE_SECONDS)
            peer.connect(path)
            socket.send_fds(peer, [ticket], [descriptor])
            answer = peer.recv(1)
    except OSError as error:
        raise AgentUnavailable(f"the descriptor socket {path} does not answer: {error}") from error
    if answer != _TAKEN:
        raise AgentUnavailable("the descriptor was refused: its ticket has expired, or was used")
