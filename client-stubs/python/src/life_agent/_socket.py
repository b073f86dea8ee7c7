"""Finding the agent's socket, and handing a secret over beside it."""

from __future__ import annotations

import os
import pathlib
import socket
import struct

from life_agent.errors import AgentUnavailable, InvalidArgument, NotConfigured

_PATH_LIMIT = 107
_TAKEN = b"\0"
_PATIENCE_SECONDS = 10
# The longest passphrase, as of the command line; far less than a pipe holds.
_SECRET_LIMIT = 1024


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


def check_secret(secret: bytes) -> bytes:
    """Refuses a passphrase that no file can have, and that would not fit into a pipe."""
    if not 0 < len(secret) <= _SECRET_LIMIT:
        raise InvalidArgument(f"the passphrase has {len(secret)} bytes: it must have 1 to {_SECRET_LIMIT}")
    return secret


def check_peer(peer: socket.socket) -> None:
    """Refuses a socket on which neither this user nor root listens (SO_PEERCRED)."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid not in (os.geteuid(), 0):
        raise AgentUnavailable("the agent's socket is another user's: nothing was sent to it")


def check_owner(path: str) -> None:
    """Refuses an agent of another user; says nothing of one that does not answer.

    gRPC makes connections of its own, so that this one only looks who listens under the name. It is worth as much as
    the folder: one that others can write lets them change the socket afterwards.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(_PATIENCE_SECONDS)
        try:
            peer.connect(path)
        except PermissionError as error:
            raise AgentUnavailable("the agent's socket is another user's: nothing was sent to it") from error
        except OSError:
            return
        check_peer(peer)


def pipe_with(secret: bytes) -> int:
    """A pipe that holds a secret, its writing end closed: gives the reading end."""
    check_secret(secret)
    reader, writer = os.pipe()
    try:
        # A pipe holds more than a secret can have: nothing waits for a reader.
        os.write(writer, secret)
    finally:
        os.close(writer)
    return reader


def give(path: str, ticket: bytes, secret: bytes) -> None:
    """Has the vault read a secret, through a descriptor that goes with a ticket."""
    reader = pipe_with(secret)
    try:
        hand_over(path, ticket, reader)
    finally:
        os.close(reader)


def hand_over(path: str, ticket: bytes, descriptor: int) -> None:
    """Sends ticket and descriptor over the agent's descriptor socket."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(_PATIENCE_SECONDS)
            peer.connect(path)
            check_peer(peer)
            socket.send_fds(peer, [ticket], [descriptor])
            answer = peer.recv(1)
    except OSError as error:
        raise AgentUnavailable(f"the descriptor socket {path} does not answer: {error}") from error
    if answer != _TAKEN:
        raise AgentUnavailable("the descriptor was refused: its ticket has expired, or was used")
