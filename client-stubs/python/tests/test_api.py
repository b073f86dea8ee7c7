"""Calling the platform's HTTP interface: through a live agent, and one that this test plays."""

import concurrent.futures
import io
import json
import uuid

import grpc
import pytest

from life_agent import Agent, errors
from life_agent._contract.life.agent.v1 import api_pb2, api_pb2_grpc

MIB = 1024 * 1024


def test_the_platform_answers_in_the_users_name(agent, practice, patient):
    for user in (practice, patient):
        answer = agent.call("GET", "/v1/me", user=user, headers={"Accept": "application/json"})
        assert answer.status == 200 and answer.header("Content-Type").startswith("application/json")
        assert user in json.dumps(json.loads(answer.content)) and answer.size == len(answer.content)
    sink = io.BytesIO()
    into = agent.call_into(sink, "GET", "/v1/me", user=patient, time_limit=60)
    assert (into.status, into.content, into.size) == (200, b"", len(sink.getvalue()))
    # A status is an answer.
    assert agent.call("GET", f"/v1/users/{uuid.uuid4()}", user=patient).status == 404


class Echo(api_pb2_grpc.ApiServicer):
    """Answers with what it got, or as the path says."""

    def __init__(self):
        self.calls = []

    def Call(self, requests, context):
        header = next(requests).header
        chunks = [request.chunk for request in requests]
        self.calls.append((header, chunks))
        if header.path != "/headless":
            told = [api_pb2.HttpHeader(name="x-one", value="1"), api_pb2.HttpHeader(name="x-one", value="2")]
            yield api_pb2.CallResponse(answer=api_pb2.CallAnswer(status=503, headers=told))
        for chunk in [b"x" * MIB] * 17 if header.path == "/long" else chunks:
            yield api_pb2.CallResponse(chunk=chunk)
        if header.path != "/cut":
            size = sum(map(len, chunks))
            yield api_pb2.CallResponse(result=api_pb2.CallResult(size=size, sent_size=size, attempts=3))


@pytest.fixture
def echo(tmp_path):
    echo = Echo()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    api_pb2_grpc.add_ApiServicer_to_server(echo, server)
    server.add_insecure_port(f"unix:{tmp_path}/agent.sock")
    server.start()
    with Agent(tmp_path / "agent.sock", user="7") as echo.agent:
        yield echo
    server.stop(None).wait()


def test_bodies_of_known_and_unknown_length(echo):
    body = b"b" * (2 * MIB + 1)
    answer = echo.agent.call("POST", "/a?b=c", body, headers=[("X-A", "1"), ("X-A", "2")], time_limit=1.5)
    assert (answer.status, answer.content, answer.attempts) == (503, body, 3)
    assert answer.headers == (("x-one", "1"), ("x-one", "2")) and answer.header("X-One") == "1"
    assert answer.header("x-two") is None
    header, chunks = echo.calls.pop()
    assert (header.user, header.method, header.path, header.content_length) == ("users/7", "POST", "/a?b=c", len(body))
    assert [(one.name, one.value) for one in header.headers] == [("X-A", "1"), ("X-A", "2")]
    assert header.time_limit.ToMilliseconds() == 1500 and [len(chunk) for chunk in chunks] == [MIB, MIB, 1]

    assert echo.agent.call("PUT", "/", iter([b"one", b"two"])).content == b"onetwo"
    assert not echo.calls.pop()[0].HasField("content_length")
    echo.agent.call("GET", "/")
    header, chunks = echo.calls.pop()
    assert header.HasField("content_length") and header.content_length == 0 and chunks == []


def test_answers_that_do_not_count(echo):
    for path in ("/headless", "/cut"):
        with pytest.raises(errors.Internal):
            echo.agent.call("GET", path)
    with pytest.raises(errors.MessageTooLarge, match="call_into"):
        echo.agent.call("GET", "/long")
    sink = io.BytesIO()
    echo.agent.call_into(sink, "GET", "/long")
    assert len(sink.getvalue()) == 17 * MIB
