"""Authentication: a registry's challenges and tokens, and the files and programs that keep passwords."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from fuzzing import changed_bytes, changed_json, fuzz, holds, slow_fuzz, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.registry.challenges import parse_challenges
from starfreight.registry.credential_helpers import ask_helper
from starfreight.registry.docker_config import from_docker, helper_advice
from starfreight.registry.failures import refusal
from starfreight.registry.retries import asked_to_wait
from starfreight.registry.tokens import fetch_token, parse_scopes, scope_texts

CHALLENGE = 'Bearer realm="https://auth.test/token",service="registry.test",scope="repository:a/b:pull,push"'
PIECES = st.lists(
    st.sampled_from(
        [
            "Bearer",
            "Basic",
            " ",
            ",",
            "=",
            '"',
            "\\",
            "realm",
            "scope",
            "repository:a/b:pull",
            "push",
            "\t",
            "*",
        ]
    )
    | texts,
    max_size=30,
).map("".join)
CONFIG = {
    "auths": {
        "registry.test": {"auth": "cGlsb3Q6c2VjcmV0"}, "https://registry.test/v2/": {"identitytoken": "x"},
        "registry.test/team": {"username": "pilot", "password": "secret"},
    },
    "credHelpers": {"registry.test": "here"},
    "credsStore": "everywhere",
}  # fmt: skip
STATUSES = (400, 401, 403, 404, 405, 413, 429, 500, 507)
ERRORS = {"errors": [{"code": "DENIED", "message": "no", "detail": {"a": 1}}]}


def answer(status: int, body: bytes, **headers: str) -> requests.Response:
    """A registry's answer as it arrives."""
    response = requests.Response()
    response.status_code, response._content = status, body
    response.headers.update(headers)
    return response


@fuzz
@given(line=st.one_of(PIECES, changed_bytes(CHALLENGE.encode()).map(lambda each: each.decode("latin-1"))))
def test_a_challenge(line: str) -> None:
    def read() -> None:
        for challenge in parse_challenges(line):
            texts = scope_texts(parse_scopes(challenge.get("scope")))
            assert parse_scopes(" ".join(texts)) == parse_scopes(challenge.get("scope"))

    holds(read)


@pytest.mark.parametrize("piece", ['"', '\\"', "a=", "a ", "Bearer ", "Bearer a="])
def test_a_long_challenge_is_read_in_bounded_time(piece: str) -> None:
    holds(lambda: parse_challenges(piece * 100_000))


@fuzz
@given(data=changed_json({"token": "abc", "access_token": "abc", "expires_in": 300}))
def test_an_answer_of_a_token_service(data: bytes) -> None:
    holds(lambda: fetch_token(lambda *_, **__: answer(200, data), "https://a.test/t", "", frozenset(), None))


@fuzz
@given(
    status=st.sampled_from([400, 401, 403, 404, 405, 413, 429, 500, 507]),
    data=changed_json(ERRORS),
    wait=texts,
)
def test_a_refusal(status: int, data: bytes, wait: str) -> None:
    def explain() -> None:
        asked_to_wait(wait)
        raise refusal(answer(status, data, **{"Retry-After": wait}), "registry.test", "pulling a/b")

    holds(explain)


@pytest.fixture(scope="module")
def helpers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A credential helper, alone on the path, with a given output."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "docker-credential-here"
    program.write_text(f"#!/bin/sh\nexec /bin/cat {folder}/answer\n")
    program.chmod(0o755)
    (folder / "answer").write_text('{"Username": "pilot", "Secret": "secret"}')
    return folder


def test_files_of_passwords(tmp_path: Path, plain_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def pair() -> None:
        found = from_docker("registry.test", "team/coder")
        assert found is None or all(isinstance(each, str) and each for each in found)
        helper_advice("registry.test")

    @fuzz
    @given(data=st.one_of(changed_json(CONFIG), changed_bytes(json.dumps(CONFIG).encode())))
    def read(data: bytes) -> None:
        (tmp_path / "config.json").write_bytes(data)
        holds(pair)

    read()


def test_answers_of_helpers(helpers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(helpers))
    assert ask_helper("here", "registry.test") == ("pilot", "secret")

    @slow_fuzz
    @given(data=changed_json({"ServerURL": "x", "Username": "pilot", "Secret": "secret"}))
    def read(data: bytes) -> None:
        (helpers / "answer").write_bytes(data)
        holds(lambda: ask_helper("here", "registry.test"))

    read()
