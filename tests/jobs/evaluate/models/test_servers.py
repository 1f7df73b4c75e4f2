"""Models behind servers: llama.cpp's with OpenAI's API, Ollama's API over the same, and servers that fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from ollama_generation import OllamaGeneration

from starfreight.completion.llama_process import LlamaProcess, llama_process
from starfreight.errors import InputError, ServiceError
from starfreight.gguf.loopback import Loopback
from starfreight.jobs.evaluate.models.gguf_model import GgufModel
from starfreight.jobs.evaluate.models.interface import Completion, Model, Request
from starfreight.jobs.evaluate.models.model_files import LocalTarget
from starfreight.jobs.evaluate.models.open_model import describe_server, open_model
from starfreight.jobs.evaluate.models.server_client import ServerClient
from starfreight.jobs.evaluate.models.server_target import KEY_VARIABLE, ServerTarget, parse_server
from starfreight.jobs.evaluate.suites.fim import fill_request
from starfreight.jobs.evaluate.suites.interface import SkippedSuite
from starfreight.jobs.evaluate.suites.repository import RepositorySuite

FIM_TOKENS = "<fim_prefix> <fim_suffix> <fim_middle>"
FIM = (
    "{{ if .Suffix }}<fim_prefix>{{ .Prompt }}<fim_suffix>{{ .Suffix }}<fim_middle>"
    "{{ else }}{{ .Prompt }}{{ end }}"
)
CODE = Path(__file__).read_text()
KEY = "secret-of-the-tests"
REQUESTS = [
    Request("fill", CODE[:200], CODE[220:400], most_tokens=12),
    Request("raw", CODE[:300], most_tokens=12),
    Request("stop", CODE[:300], most_tokens=40, stop=("\n", "a")),
    Request("warm", CODE[:250], most_tokens=12, temperature=0.9, seed=7),
]


def completed(model: Model) -> dict[str, tuple[str, str]]:
    return {each.id: (done.text, done.stop) for each, done in model.complete(REQUESTS)}


@contextmanager
def llama_server(gguf: Path) -> Iterator[LlamaProcess]:
    settings = {
        "model": str(gguf), "alias": "acme-coder", "adapter": None, "threads": 1, "sampling": {},
        "api_keys": [KEY], "n_ctx": 512, "n_parallel": 1, "flash_attn_type": 0,
    }  # fmt: skip
    with llama_process(settings, gguf) as running:
        yield running


@pytest.fixture(scope="module")
def llama(gguf: Path) -> Iterator[LlamaProcess]:
    with llama_server(gguf) as running:
        yield running


@pytest.fixture(scope="module")
def local(target: Callable[..., LocalTarget]) -> dict[str, tuple[str, str]]:
    settings = {"num_ctx": 512, "stop": [], "top_k": 40, "top_p": 0.95, "min_p": 0.05}
    with GgufModel(target(settings=settings), slots=1, threads=1) as model:
        return completed(model)


@pytest.mark.parametrize("fim_tokens", [FIM_TOKENS, None], ids=["tokens", "infill"])
def test_an_openai_server_gives_the_same_completions(
    fim_tokens: str | None,
    llama: LlamaProcess,
    local: dict[str, tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    server = parse_server(f"{llama.address}/v1", fim_tokens=fim_tokens)
    facts = describe_server(server)
    assert (facts.api, facts.model, facts.digest) == ("openai", "acme-coder", None)
    with open_model(server) as model:
        assert model.fills and model.instructs and model.slots == 1  # Slots of llama.cpp share a context.
        assert completed(model) == local
        ((_, done),) = model.complete([Request("i", "Hello", instruct=True, most_tokens=3)])
        assert done.tokens == 3 and done.prompt_tokens > 0 and done.first_token is not None
        ((_, long),) = model.complete([Request("long", CODE, CODE, most_tokens=4)])
        assert long.shortened and 100 < long.prompt_tokens <= 512
        ((_, odd),) = model.complete([Request("odd", "a\ud800b", most_tokens=3)])
        assert odd.tokens == 3
        # Without the context, its gain would be 0.
        with pytest.raises(SkippedSuite, match="other files"):
            RepositorySuite().request({"id": "a", "prefix": "a", "suffix": "b", "expected": "c"}, model)


def test_a_server_without_a_suffix_cannot_fill(llama: LlamaProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setattr("starfreight.jobs.evaluate.models.openai_abilities.INFILL", "/nowhere")
    with open_model(parse_server(llama.address, api="openai")) as model:
        assert not model.fills
        with pytest.raises(SkippedSuite, match="--fim-tokens"):
            fill_request({"id": "a", "prefix": "a", "suffix": "b", "expected": "c"}, model)
        with pytest.raises(InputError, match="takes no suffix") as caught:
            list(model.complete(REQUESTS))
        assert caught.value.fix is not None and "--fim-tokens" in caught.value.fix


def test_ollama_gives_the_same_completions(llama: LlamaProcess, local: dict[str, tuple[str, str]]) -> None:
    template = FIM.replace("{{ else }}", "{{ else }}# ")
    parameters = {"num_ctx": [512], "stop": ["quux", 'a "b"']}
    with OllamaGeneration("acme-coder:latest", Loopback(llama.address, KEY), template, parameters) as server:
        facts = describe_server(parse_server(server.url))
        assert (facts.api, facts.version, facts.model) == ("ollama", "0.33.0", "acme-coder:latest")
        assert facts.digest == "sha256:" + "a" * 64
        with open_model(parse_server(server.url, "acme-coder"), slots=2) as model:
            assert (model.fills, model.instructs, model.slots, model.repositories) == (True, True, 2, False)
            assert model.settings["context"] == 512
            server.asked.clear()
            assert completed(model) == local
            by_prompt = {(body["prompt"], body["options"].get("seed")): body for body in server.asked}
            assert by_prompt[(CODE[:200], 0)]["suffix"] == CODE[220:400]
            # A request's stops replace the packaged ones in Ollama, so both are sent.
            stops = [body["options"]["stop"] for body in server.asked if "stop" in body["options"]]
            assert stops == [["quux", 'a "b"', "\n", "a"]]
            ((_, done),) = model.complete([Request("i", "Hello", instruct=True, most_tokens=3)])
            assert done.tokens == 3 and "raw" not in server.asked[-1]
            ((_, empty),) = model.complete([Request("e", "", most_tokens=3)])
            assert (empty.text, empty.tokens) == ("", 0)
        with pytest.raises(InputError, match="not found"), open_model(parse_server(server.url, "other")):
            pass


def test_a_wrong_key_is_refused_and_a_key_that_cannot_be_sent_is_not_repeated(
    llama: LlamaProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "wrong-key")
    with (
        pytest.raises(ServiceError, match="refused the key") as caught,
        open_model(parse_server(llama.address)),
    ):
        pass
    assert KEY_VARIABLE in str(caught.value.fix) and "wrong-key" not in str(caught.value)
    monkeypatch.setenv(KEY_VARIABLE, "hush\nhush")
    with pytest.raises(InputError) as unusable, open_model(parse_server(llama.address)):
        pass
    assert "hush" not in str(unusable.value)


def test_a_server_that_dies_half_way_loses_no_finished_completion(
    gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.setattr("starfreight.jobs.evaluate.models.server_client.RETRIES", 1)
    kept = []
    with llama_server(gguf) as running, open_model(parse_server(running.address)) as model:
        with pytest.raises(ServiceError) as caught:
            for request, _ in model.complete(Request(str(at), CODE[:80], most_tokens=2) for at in range(50)):
                kept.append(request.id)
                if len(kept) == 3:
                    running.process.kill()
        assert caught.value.exit_code == 4 and caught.value.where == running.address
    assert kept[:3] == ["0", "1", "2"] and len(kept) < 50


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def server(answer: Answer) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Ollama with one model, whose completions are ``answer``'s."""
    headers: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            headers.append(dict(self.headers))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fixed = {
                "/api/version": {"version": "0.33.0"},
                "/api/tags": {"models": [{"name": "m:latest", "digest": "b"}]},
                "/api/show": {"template": "{{ .Prompt }}", "capabilities": []},
            }.get(self.path)
            if fixed is None:
                answer(self)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(fixed).encode())

        do_GET = do_POST

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        running.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}", headers
        running.shutdown()


def ask(url: str, most_tokens: int = 8) -> Completion:
    with open_model(ServerTarget(url, "m", "ollama"), slots=1) as model:
        ((_, done),) = model.complete([Request("a", "x", most_tokens=most_tokens)])
        return done


def sends(*pieces: bytes, endless: bool = False) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(piece)
        while endless:
            handler.wfile.write(pieces[-1])

    return answer


def torn(handler: BaseHTTPRequestHandler) -> None:
    """An answer in pieces whose server is killed after the first."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"5\r\n{'res\r\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (sends(b""), "broke off"),
        (torn, "broke off"),
        (sends(b'{"response": "a", "done": false}\n'), "broke off"),
        (sends(b'{"response": "a", "done": fal'), "not JSON"),
        (sends(b"\xff\xfe\x00\n"), "not JSON"),
        (sends(b"[" * 100_000 + b"\n"), "not JSON"),
        (sends(b'{"error": "out of \\u001b[31m memory"}\n'), "out of .*memory"),
        (sends(b"x" * 65536, endless=True), "line without end"),
        (sends(b'{"thinking": "' + b"x" * 60_000 + b'"}\n', endless=True), "no end"),
        (lambda handler: handler.send_error(500), "status 500"),
        (lambda handler: handler.connection.close(), "failed"),
    ],
)
def test_a_server_that_fails_is_named(answer: Answer, words: str) -> None:
    with server(answer) as (url, _), pytest.raises(ServiceError, match=words) as caught:
        ask(url)
    assert caught.value.where == url and "\x1b" not in str(caught.value)


def test_a_model_that_never_stops_is_cut_off() -> None:
    with server(sends(b'{"response": "a", "done": false}\n', endless=True)) as (url, _):
        done = ask(url)
    assert done.stop == "length" and set(done.text) == {"a"} and len(done.text) <= 9


def test_half_a_character_is_replaced() -> None:
    with server(sends(b'{"response": "\\ud83d"}\n{"response": "\\ude00 \\ud83d"}\n{"done": true}\n')) as (
        url,
        _,
    ):
        assert ask(url).text == "\U0001f600 \ufffd"


def test_a_busy_server_is_asked_again() -> None:
    calls = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        calls.append(1)
        if len(calls) == 1:
            handler.send_response(503)
            handler.send_header("Retry-After", "100000")
            handler.end_headers()
            while True:  # Nobody reads the end.
                handler.wfile.write(b"x" * 65536)
        else:
            sends(b'{"response": "ok", "done": true, "eval_count": 1}\n')(handler)

    with server(answer) as (url, _):
        assert ask(url).text == "ok"


def test_a_server_that_stays_busy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starfreight.jobs.evaluate.models.server_client.RETRIES", 1)
    with (
        server(lambda handler: handler.send_error(429)) as (url, _),
        pytest.raises(ServiceError, match="status 429"),
    ):
        ask(url)


def test_the_key_stays_with_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with server(sends(b'{"response": "b", "done": true}\n')) as (other, stolen):

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("Location", f"{other}/api/generate")
            handler.end_headers()

        with server(redirect) as (url, headers), pytest.raises(ServiceError, match="redirects"):
            ask(url)
        assert headers[-1]["Authorization"] == f"Bearer {KEY}" and not stolen


def test_a_password_for_the_host_is_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine models.example login me password hush\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for key, expected in ((None, None), (KEY, f"Bearer {KEY}")):
        session = ServerClient("http://models.example", key)._session
        sent = session.prepare_request(requests.Request("GET", "http://models.example/api/version"))
        assert sent.headers.get("Authorization") == expected


def test_an_unreachable_server_is_an_outside_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starfreight.jobs.evaluate.models.server_client.RETRIES", 0)
    with pytest.raises(ServiceError, match="refused") as caught:
        describe_server(parse_server("http://127.0.0.1:9"))
    assert caught.value.exit_code == 4
