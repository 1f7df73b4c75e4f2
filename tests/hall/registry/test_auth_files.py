"""The files of ``docker login``, ``podman login`` and ``skopeo login``, in skopeo's order."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.registry.docker_config import from_docker

FILES = (
    "named.json", "docker/config.json", "session/containers/auth.json", "settings/containers/auth.json",
    ".docker/config.json",
)  # fmt: skip
"""In the order of precedence."""
SESSION, DOCKER = FILES[2], FILES[4]


def auth(username: str, password: str = "secret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "session"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    (tmp_path / "session").mkdir()
    return tmp_path


@pytest.fixture
def skopeo(require_service: Callable[[str], str]) -> Callable[[str], str | None]:
    """The user that skopeo finds for a registry."""
    program = require_service("skopeo")

    def ask(name: str) -> str | None:
        done = subprocess.run([program, "login", "--get-login", name], capture_output=True, check=False)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    return ask


def write(path: Path, **config: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("first", range(len(FILES)))
def test_the_first_file_with_an_entry_wins_as_for_skopeo(
    first: int, folder: Path, monkeypatch: pytest.MonkeyPatch, skopeo: Callable[[str], str | None]
) -> None:
    if first == 0:
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(folder / FILES[0]))
    if first <= 1:
        monkeypatch.setenv("DOCKER_CONFIG", str((folder / FILES[1]).parent))
    for name in FILES[first:]:
        write(folder / name, auths={"r.example": auth(name.partition("/")[0])})
    found = from_docker("r.example", "team/coder")
    assert found is not None
    assert found[0] == FILES[first].partition("/")[0] == skopeo("r.example")


def test_a_file_without_an_entry_leads_to_the_next(folder: Path, skopeo: Callable[[str], str | None]) -> None:
    write(folder / SESSION, auths={"other.example": auth("other")})
    write(folder / DOCKER, auths={"r.example": auth("pilot")})
    assert from_docker("r.example", "team/coder") == ("pilot", "secret")
    assert skopeo("r.example") == "pilot"


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("r.example", "r.example"), ("https://r.example", "r.example"), ("http://r.example", "r.example"),
        ("https://r.example/v1/", "r.example"), ("https://r.example:5000/v2/", "r.example:5000"),
        ("r.example:5000", "r.example:5000"), ("https://index.docker.io/v1/", "docker.io"),
    ],
)  # fmt: skip
def test_a_key_has_many_forms_as_for_skopeo(
    key: str, host: str, folder: Path, skopeo: Callable[[str], str | None]
) -> None:
    write(folder / DOCKER, auths={key: auth("pilot")})
    assert from_docker(host, "team/coder") == ("pilot", "secret")
    assert skopeo(host) == "pilot"


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("HTTPS://R.Example/V1/".replace("V1", "v1"), "r.example"), ("r.example:443", "r.example"),
        ("r.example", "r.example:443"), ("R.EXAMPLE", "r.example"), ("https://r.example/", "R.Example"),
        ("docker.io", "registry-1.docker.io"), ("https://index.docker.io/v1/", "index.docker.io"),
    ],
)  # fmt: skip
def test_a_key_of_the_same_origin_applies(key: str, host: str, folder: Path) -> None:
    write(folder / DOCKER, auths={key: auth("pilot")})
    assert from_docker(host, "team/coder") == ("pilot", "secret")


@pytest.mark.parametrize(
    "key", ["r.example:80", "r.example.evil.example", "https://evil.example/r.example", "ftp://r.example",
            "r.example@evil.example", "", "https://", "//r.example"],
)  # fmt: skip
def test_a_key_of_another_origin_does_not(key: str, folder: Path) -> None:
    write(folder / DOCKER, auths={key: auth("pilot")})
    assert from_docker("r.example", "team/coder") is None


@pytest.mark.parametrize("repository", ["team/coder", "team/other", "else/where"])
def test_paths_are_those_of_skopeo(
    repository: str, folder: Path, skopeo: Callable[[str], str | None]
) -> None:
    keys = {"r.example": "host", "r.example/team": "team", "r.example/team/coder": "coder"}
    write(folder / SESSION, auths={key: auth(name) for key, name in keys.items()})
    found = from_docker("r.example", repository)
    assert found is not None
    assert found[0] == skopeo(f"r.example/{repository}")


def test_an_identity_token_has_the_user_that_helpers_give_it(folder: Path) -> None:
    write(folder / DOCKER, auths={"r.example": {**auth("0000", ""), "identitytoken": "abc"}})
    assert from_docker("r.example", "team/coder") == ("<token>", "abc")


@pytest.mark.parametrize(
    "config", [{"auths": None}, {"credHelpers": None, "credsStore": None}, {"credsStore": ""}, {}]
)
def test_empty_parts_are_as_missing(config: dict[str, Any], folder: Path) -> None:
    write(folder / DOCKER, **config)
    assert from_docker("r.example", "team/coder") is None


@pytest.mark.parametrize(
    "data", [b"\xff", b"{", b'{"auths": []}', b'{"auths": {"r.example": 1}}', b"[" * 100_000]
)
@pytest.mark.parametrize("name", FILES[2:])
def test_an_unusable_file_is_an_error_with_its_path(data: bytes, name: str, folder: Path) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        from_docker("r.example", "team/coder")
    assert str(caught.value.where).startswith(str(path))


def test_without_a_home_directory_there_are_no_credentials(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert from_docker("r.example", "team/coder") is None
