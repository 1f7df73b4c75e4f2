from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError, ServiceError
from starfreight.registry.docker_config import from_docker

Write = Callable[..., None]


def auth(username: str, password: str = "secret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes Docker's configuration."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(**config: Any) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config))

    return write


@pytest.mark.parametrize(
    ("key", "host", "repository"),
    [
        ("registry.example.org", "registry.example.org", "team/coder"),
        ("registry.example.org:5000", "registry.example.org:5000", "team/coder"),
        ("https://registry.example.org/v1/", "registry.example.org", "team/coder"),
        ("https://registry.example.org", "Registry.Example.org", "team/coder"),
        ("https://index.docker.io/v1/", "docker.io", "team/coder"),
        ("registry.example.org/team", "registry.example.org", "team/coder"),
        ("registry.example.org/team/coder", "registry.example.org", "team/coder"),
    ],
)
def test_an_entry_applies_to_its_host_and_path(write: Write, key: str, host: str, repository: str) -> None:
    write(auths={key: auth("pilot")})
    assert from_docker(host, repository) == ("pilot", "secret")


@pytest.mark.parametrize(
    ("key", "host", "repository"),
    [
        ("registry.example.org", "other.example.org", "team/coder"),
        ("registry.example.org", "registry.example.org:5000", "team/coder"),
        ("registry.example.org", "registry.example.org.evil.example", "team/coder"),
        ("registry.example.org:5000", "registry.example.org", "team/coder"),
        ("localhost:5000", "127.0.0.1:5000", "team/coder"),
        ("127.0.0.1:5000", "127.0.0.2:5000", "team/coder"),
        ("https://index.docker.io/v1/", "index.docker.io.evil.example", "team/coder"),
        ("registry.example.org/team", "registry.example.org", "teams/coder"),
        ("registry.example.org/team/coder", "registry.example.org", "team/coder-2"),
    ],
)
def test_an_entry_applies_to_no_other_host_or_path(
    write: Write, key: str, host: str, repository: str
) -> None:
    write(auths={key: auth("pilot")})
    assert from_docker(host, repository) is None


def test_the_longest_path_wins(write: Write) -> None:
    write(
        auths={"r.example": auth("host"), "r.example/team/a": auth("coder"), "r.example/team": auth("team")}
    )
    assert [from_docker("r.example", name) for name in ("team/a", "team/b", "x/y")] == [
        ("coder", "secret"), ("team", "secret"), ("host", "secret"),
    ]  # fmt: skip


def test_a_secret_of_kubernetes_with_user_name_and_password_is_read(write: Write) -> None:
    write(auths={"r.example": {"username": "pilot", "password": "a:b"}})
    assert from_docker("r.example", "team/coder") == ("pilot", "a:b")


def test_a_helper_is_asked_for_the_host_alone(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-keys"
    helper.write_text(f"#!/bin/sh\ncat >> {tmp_path}/asked\necho >> {tmp_path}/asked\nexit 1\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    write(auths={"r.example": {}}, credsStore="keys")
    assert from_docker("other.example:5000", "team/coder") is None
    assert from_docker("docker.io", "team/coder") is None
    write(credHelpers={"r.example": "keys"})
    assert from_docker("third.example", "team/coder") is None
    assert from_docker("r.example", "team/coder") is None
    asked = ["other.example:5000", "https://index.docker.io/v1/", "r.example"]
    assert (tmp_path / "asked").read_text().split() == asked


@pytest.mark.parametrize("answer", ["", "no JSON", "[]", '{"Username": "x"}', '{"Username": 1, "Secret": 2}'])
def test_nonsense_from_a_helper_is_an_error_with_its_name(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    helper = tmp_path / "docker-credential-odd"
    helper.write_text(f"#!/bin/sh\necho '{answer}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    write(credsStore="odd")
    with pytest.raises(ServiceError, match="docker-credential-odd did not answer"):
        from_docker("r.example", "team/coder")


@pytest.mark.parametrize("value", ["%%%", base64.b64encode(b"no colon").decode(), "/////w=="])
def test_an_entry_that_cannot_be_decoded_is_an_error_with_its_key(write: Write, value: str) -> None:
    write(auths={"r.example": {"auth": value}})
    with pytest.raises(InputError, match=r"entry for 'r\.example' has an invalid auth"):
        from_docker("r.example", "team/coder")
