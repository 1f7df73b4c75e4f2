"""Answers of model servers: OpenAI's interface, llama.cpp's and Ollama's, streamed and whole."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.openai_abilities import find_abilities, served_model
from starfreight.jobs.evaluate.models.server_client import Refusal, ServerClient
from starfreight.packager.install.ollama_client import OllamaClient

MODELS = {"data": [{"id": "coder", "max_model_len": 4096, "owned_by": "llamacpp"}]}
ANSWER = {
    "id": "1", "choices": [{"text": "x", "logprobs": {"token_logprobs": [-0.5]}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1}, "timings": {"prompt_n": 9},
}  # fmt: skip
EVENTS = (
    b'data: {"choices": [{"text": "a"}]}\r\n\r\n: ping\n\n'
    b'data: {"error": {"code": 400, "message": "context"}}\n\ndata: [DONE]\n\n'
)
REFUSAL = {"error": {"message": "no", "code": 400}}
OLLAMA = {"models": [{"name": "coder:latest", "digest": "0" * 64}], "version": "0.34.1", "status": "success"}


class _Server(ThreadingHTTPServer):
    body = b""
    status = 200

    class RequestHandlerClass(BaseHTTPRequestHandler):  # type: ignore[assignment]
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # Head and body in one packet, without waiting for an acknowledgement.

        def answer(self) -> None:
            server: Any = self.server
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(server.status)
            self.send_header("Content-Length", str(len(server.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(server.body)

        do_GET = do_POST = do_HEAD = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            pass


@pytest.fixture(scope="module")
def server() -> Iterator[_Server]:
    """A server that answers each request alike."""
    server = _Server(("127.0.0.1", 0), _Server.RequestHandlerClass)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def client(server: _Server) -> Iterator[ServerClient]:
    """A client of the server."""
    with_key = ServerClient(f"http://127.0.0.1:{server.server_port}", "key")
    yield with_key
    with_key.close()


def refused_or(read: Any) -> Any:
    """Calls a reader; a refusal is an answer too, with words of one line."""

    def call() -> None:
        try:
            read()
        except Refusal as refusal:
            raise InputError(" ".join(refusal.words.split())) from refusal

    return call


@fuzz
@given(
    data=st.one_of(changed_bytes(EVENTS), changed_json(ANSWER).map(lambda each: b"data: " + each + b"\n\n"))
)
def test_a_stream(server: _Server, client: ServerClient, data: bytes) -> None:
    server.body, server.status = data, 200
    holds(refused_or(lambda: list(client.events("/v1/completions", {}))))


@fuzz
@given(data=changed_json(MODELS))
def test_a_list_of_models(server: _Server, client: ServerClient, data: bytes) -> None:
    server.body, server.status = data, 200
    holds(refused_or(lambda: served_model(client, None)))


@fuzz
@given(data=changed_json(ANSWER))
def test_an_answer(server: _Server, client: ServerClient, data: bytes) -> None:
    server.body, server.status = data, 200
    holds(refused_or(lambda: find_abilities(client, "coder", True)))


@fuzz
@given(
    status=st.sampled_from([301, 400, 401, 404, 500]),
    data=changed_json({"error": {"message": "no", "code": 400}}),
)
def test_a_refusal(server: _Server, client: ServerClient, status: int, data: bytes) -> None:
    server.body, server.status = data, status
    holds(refused_or(lambda: client.post("/v1/completions", {})))


@fuzz
@given(data=st.one_of(changed_json(OLLAMA), changed_bytes(json.dumps(OLLAMA).encode() * 3)))
def test_ollamas_answers(server: _Server, data: bytes) -> None:
    server.body, server.status = data, 200
    ollama = OllamaClient(f"http://127.0.0.1:{server.server_port}")
    for ask in (ollama.version, lambda: ollama.digest("coder:latest"), lambda: list(ollama.pull("coder"))):
        holds(ask)
