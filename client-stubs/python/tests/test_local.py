"""What needs no agent: finding the socket, files, errors."""

import concurrent.futures
import os
import pathlib
import re
import socket

import grpc
import pytest

from life_agent import Agent, Kind, _files, _socket, errors
from life_agent._contract import life_error_info_pb2
from life_agent._contract.life.agent.v1 import agent_pb2

ROOT = pathlib.Path(__file__).resolve().parents[3]


def test_every_reason_has_a_class_and_no_other():
    source = (ROOT / "proto" / "src" / "reason.rs").read_text()
    reasons = set(re.findall(r"^    ([A-Z][A-Z0-9_]+);$", source, re.MULTILINE))
    assert reasons == errors.REASONS
    for reason in reasons:
        kind = errors.error_class(reason)
        assert kind.reason == reason and issubclass(kind, errors.LifeError)
        assert kind.__doc__ and kind.__doc__ != errors.LifeError.__doc__
        assert getattr(errors, kind.__name__) is kind and kind.__module__ == "life_agent.errors"
    assert errors.NotARecipient.reason == "NOT_A_RECIPIENT"


def test_a_newer_reason_is_still_a_life_error():
    assert errors.error_class("SOMETHING_NEW") is errors.LifeError


def test_the_socket_is_looked_for_in_order(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LIFE_AGENT_SOCKET", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert _socket.find() == f"{tmp_path}/.life/run/agent.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert _socket.find() == "/run/user/7/life/agent.sock"
    monkeypatch.setenv("LIFE_AGENT_SOCKET", "/tmp/a.sock")
    assert _socket.find() == "/tmp/a.sock"
    assert _socket.find("/tmp/b.sock") == "/tmp/b.sock"
    with pytest.raises(errors.NotConfigured, match="107"):
        _socket.find("/tmp/" + "x" * 103)


def test_the_token_goes_along_with_every_call(tmp_path, monkeypatch):
    seen = []

    class Handler(grpc.GenericRpcHandler):
        def service(self, call):
            seen.append(dict(call.invocation_metadata).get("life-app-token"))
            answer = agent_pb2.GetStatusResponse().SerializeToString()
            return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1), handlers=[Handler()])
    path = tmp_path / "agent.sock"
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        for token in ("token-of-an-app", None):
            monkeypatch.setenv("LIFE_APP_TOKEN", token or "")
            with Agent(path) as agent:
                agent.status()
        assert seen == ["token-of-an-app", None]
        monkeypatch.setenv("LIFE_APP_TOKEN", "no\ntoken")
        with pytest.raises(errors.NotConfigured, match="LIFE_APP_TOKEN"):
            Agent(path)
    finally:
        server.stop(None).wait()


def test_a_spool_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setattr(_files.tempfile, "tempdir", str(tmp_path))
    with _files.spool() as spool:
        spool.write(b"not verified yet")
        spool.flush()
        assert os.fstat(spool.fileno()).st_nlink == 0 and os.listdir(tmp_path) == []


def test_no_agent_is_said_as_such(tmp_path):
    with Agent(tmp_path / "agent.sock") as agent, pytest.raises(errors.AgentUnavailable, match="life-agentd"):
        agent.status()


class FakeError(grpc.RpcError):
    def __init__(self, code, details, trailers):
        self._all = (code, details, trailers)

    def code(self):
        return self._all[0]

    def details(self):
        return self._all[1]

    def trailing_metadata(self):
        return self._all[2]


def test_error_details_of_google_are_read():
    status = life_error_info_pb2.Status(code=9, message="locked")
    info = life_error_info_pb2.ErrorInfo(reason="CREDENTIAL_LOCKED", domain=errors.DOMAIN)
    info.metadata["user"] = "users/x"
    status.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=info.SerializeToString())
    trailers = (("other", "x"), ("grpc-status-details-bin", status.SerializeToString()))
    error = errors.from_rpc(FakeError(grpc.StatusCode.FAILED_PRECONDITION, "locked", trailers))
    assert type(error) is errors.CredentialLocked
    assert (error.reason, error.metadata, error.message) == ("CREDENTIAL_LOCKED", {"user": "users/x"}, "locked")
    assert str(error) == "locked (CREDENTIAL_LOCKED)"
    without = errors.from_rpc(FakeError(grpc.StatusCode.INTERNAL, "broken", ()))
    assert type(without) is errors.Internal


def test_staged_files_appear_whole_or_not_at_all(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(RuntimeError), _files.staged(target, overwrite=False, mode=0o600) as file:
        file.write(b"half")
        assert os.listdir(tmp_path) == []
        raise RuntimeError
    assert os.listdir(tmp_path) == []
    with _files.staged(target, overwrite=False, mode=0o600) as file:
        file.write(b"whole")
    assert target.read_bytes() == b"whole" and os.listdir(tmp_path) == ["out"]
    with pytest.raises(errors.OutputExists), _files.staged(target, overwrite=False, mode=0o600):
        pass
    with _files.staged(target, overwrite=True, mode=0o600) as file:
        file.write(b"new")
    assert target.read_bytes() == b"new" and os.listdir(tmp_path) == ["out"]


def test_a_name_taken_meanwhile_is_kept(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(errors.OutputExists), _files.staged(target, overwrite=False, mode=0o600) as file:
        file.write(b"ours")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs" and os.listdir(tmp_path) == ["out"]


def test_a_passphrase_waits_in_its_pipe():
    reader = _socket.pipe_with(b"correct horse")
    try:
        assert os.read(reader, 100) == b"correct horse"
        assert os.read(reader, 100) == b""
    finally:
        os.close(reader)


def test_a_passphrase_that_fits_no_pipe_is_refused(tmp_path):
    for secret in (b"", b"x" * 1025, b"x" * 200_000):
        with pytest.raises(errors.InvalidArgument):
            _socket.pipe_with(secret)
        with Agent(tmp_path / "agent.sock") as agent, pytest.raises(errors.InvalidArgument):
            agent.unlock(b"certificate", secret)


def test_an_endless_certificate_is_refused():
    with Agent("/nonexistent/agent.sock") as agent, pytest.raises(errors.CredentialDamaged):
        agent.unlock("/dev/zero", "correct horse battery")


def test_an_endless_content_is_refused():
    with open("/dev/zero", "rb") as endless, pytest.raises(errors.MessageTooLarge):
        _files.whole(endless, 1000)


@pytest.mark.parametrize("trailer", [b"\xff\xff", b"\x1a\x05ab", "text"])
def test_a_malformed_trailer_is_a_life_error(trailer):
    error = errors.from_rpc(FakeError(grpc.StatusCode.INTERNAL, "broken", (("grpc-status-details-bin", trailer),)))
    assert type(error) is errors.Internal and error.message == "broken"
    status = life_error_info_pb2.Status(code=9)
    status.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    assert type(errors.from_rpc(FakeError(grpc.StatusCode.INTERNAL, "", trailers))) is errors.Internal


def test_another_users_socket_gets_no_secret(tmp_path, monkeypatch):
    path, ours = str(tmp_path / "agent.sock"), os.geteuid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        _socket.check_owner(path)
        # The same as a socket of another user: this process believes to be somebody else.
        monkeypatch.setattr(os, "geteuid", lambda: ours + 1 if ours else 1)
        if ours == 0:
            monkeypatch.setattr(_socket.struct, "unpack", lambda *_: (1, 65534, 65534))
        for call in (
            lambda agent: agent.unlock(b"certificate", "correct horse battery", inline=True),
            lambda agent: agent.register(Kind.PATIENT, "correct horse battery"),
            lambda agent: agent.status(),
        ):
            with Agent(path) as agent, pytest.raises(errors.AgentUnavailable, match="another user"):
                call(agent)
        with pytest.raises(errors.AgentUnavailable, match="another user"):
            _socket.hand_over(path, b"t" * 32, 0)
