"""Commands that refuse a package whose license duties are not met."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.packager.hub.push_hub import push_hub

Build = Callable[..., Path]

OPENRAIL = "LicenseRef-BigCode-OpenRAIL-M"
NOWHERE = "localhost:1/acme/coder:1.0"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    """Runs a command and gives its exit code and its result as JSON."""

    def run(*words: str) -> tuple[int, Any]:
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


def test_publish_refuses_before_it_connects(build: Build, command: Callable[..., tuple[int, Any]]) -> None:
    code, result = command("publish", str(build(OPENRAIL)), NOWHERE, "--insecure")
    assert code == 3
    assert "5.2(b): the base model's card is not in the package" in result["error"]["what"]
    assert "README.md" in result["error"]["next"]


def test_publish_lets_a_package_pass_that_meets_them(
    build: Build, command: Callable[..., tuple[int, Any]]
) -> None:
    folder = build(OPENRAIL, files={"README.md": "# Base\n"})
    assert command("publish", str(folder), NOWHERE, "--insecure")[0] == 4  # No registry is there.


def test_an_upload_to_a_hub_is_refused_as_well(build: Build, console: Console) -> None:
    with pytest.raises(GateError, match=r"5\.2\(b\)"):
        push_hub(build(OPENRAIL), "acme/coder", (), private=True, console=console)


@pytest.mark.parametrize(("files", "code"), [({}, 3), ({"README.md": "# Base\n"}, 0)])
def test_verify_shows_every_duty_and_refuses_by_the_same_function(
    files: dict[str, str], code: int, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", "verify", str(build(OPENRAIL, files=files))]) == code
    shown = " ".join("".join(capsys.readouterr()).split())
    for paragraph in ("4, Attachment A", "5.1", "5.2(a)", "5.2(b)", "5.2(c)", "9"):
        assert f"{OPENRAIL}, {paragraph}:" in shown
    assert ("the base model's card is not in the package" in shown) is (code == 3)


def test_only_the_package_counts_not_what_it_was_made_from(build: Build, tmp_path: Path) -> None:
    folder = build(OPENRAIL, files={"README.md": "# Base\n"})
    (tmp_path / "base/README.md").unlink()
    assert main(["package", "verify", str(folder)]) == 0
