from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import ServiceError
from starfreight.registry.credential_helpers import ask_helper
from starfreight.registry.credentials import advice
from starfreight.registry.docker_config import from_docker

ANSWER = json.dumps({"Username": "pilot", "Secret": "from the helper"})
STALE = {"auth": "b2xkOnN0YWxl"}
Helper = Callable[[str, str], None]


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_environment: None) -> Helper:
    """Installs a helper: a name and a shell script."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def install(name: str, script: str) -> None:
        program = tmp_path / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return install


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    """Writes Docker's configuration."""

    def write(**config: Any) -> None:
        (tmp_path / "config.json").write_text(json.dumps(config))

    return write


def test_the_helper_of_a_host_comes_before_that_of_all_and_both_before_an_old_entry(
    helper: Helper, write: Callable[..., None]
) -> None:
    for name in ("own", "all"):
        helper(name, f"echo '{ANSWER.replace('pilot', name)}'")
    everything: dict[str, Any] = {
        "credHelpers": {"r.example": "own"}, "credsStore": "all", "auths": {"r.example": STALE},
    }  # fmt: skip
    found = []
    for missing in ("", "credHelpers", "credsStore"):
        everything.pop(missing, None)
        write(**everything)
        found.append(from_docker("r.example", "team/coder"))
    assert [pair and pair[0] for pair in found] == ["own", "all", "old"]


@pytest.mark.parametrize("key", ["r.example", "https://r.example", "R.Example", "r.example:443"])
def test_the_host_of_a_helper_has_many_forms(key: str, helper: Helper, write: Callable[..., None]) -> None:
    helper("own", f"echo '{ANSWER}'")
    write(credHelpers={key: "own"})
    assert from_docker("r.example", "team/coder") == ("pilot", "from the helper")


@pytest.mark.parametrize(
    "script",
    [
        "echo credentials not found in native keychain; exit 1",
        "exit 3",
        "echo >&2 locked; exit 1",
        "kill -9 $$",
    ],
)
def test_a_helper_that_fails_leaves_the_entry_of_the_file(
    script: str, helper: Helper, write: Callable[..., None]
) -> None:
    helper("own", script)
    write(credsStore="own", auths={"r.example": STALE})
    assert from_docker("r.example", "team/coder") == ("old", "stale")


@pytest.mark.parametrize("installed", [True, False])
def test_a_helper_without_credentials_is_named_when_they_are_needed(
    installed: bool, helper: Helper, write: Callable[..., None]
) -> None:
    if installed:
        helper("own", "exit 1")
    write(credsStore="own")
    assert from_docker("r.example", "team/coder") is None
    said = advice("r.example", destination=True)
    assert "docker-credential-own" in said
    assert ("is not installed" in said) is not installed
    assert "docker-credential-own" not in advice("r.example", destination=True, refused=True)


@pytest.mark.parametrize("name", ["../evil", "a/b", "", "x y", "-x", "a\x00b", "x" * 300])
def test_a_name_that_is_a_path_is_not_run(name: str) -> None:
    with pytest.raises(ServiceError, match="has an invalid name"):
        ask_helper(name, "r.example")


@pytest.mark.parametrize("what", ["yes", "cat /dev/zero", "head -c 2000000 /dev/zero; sleep 60"])
def test_megabytes_are_not_read(what: str, helper: Helper) -> None:
    helper("loud", what)
    start = time.monotonic()
    with pytest.raises(ServiceError, match="printed more than 1,048,576 bytes") as caught:
        ask_helper("loud", "r.example")
    assert caught.value.exit_code == 4
    assert time.monotonic() - start < 30


@pytest.mark.parametrize(
    "script", ["sleep 60", "exec sleep 60", "echo '{}'; exec >&-; sleep 60", "cat; sleep 60"]
)
def test_a_helper_that_hangs_is_given_up(
    script: str, helper: Helper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("starfreight.registry.credential_helpers.HELPER_TIMEOUT", 0.5)
    helper("slow", script)
    start = time.monotonic()
    with pytest.raises(ServiceError, match="docker-credential-slow has not"):
        ask_helper("slow", "r.example")
    assert time.monotonic() - start < 30


def test_a_program_that_a_helper_leaves_running_is_not_waited_for(helper: Helper) -> None:
    helper("agent", f"sleep 60 &\necho '{ANSWER}'")
    start = time.monotonic()
    assert ask_helper("agent", "r.example") == ("pilot", "from the helper")
    assert time.monotonic() - start < 30


def test_a_helper_that_reads_nothing_is_no_problem(helper: Helper) -> None:
    helper("deaf", f"exec <&-\necho '{ANSWER}'")
    assert ask_helper("deaf", "r.example") == ("pilot", "from the helper")
