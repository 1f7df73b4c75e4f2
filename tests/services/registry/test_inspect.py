"""``package inspect`` and ``package export --only-record`` of a release read everything but its models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from command_result import run_command
from servers import Server

from starfreight.console import Console
from starfreight.packager.provenance.signing.local_key import generate_key
from starfreight.packager.registry.push import publish

FINISHED = Path(__file__).parents[2] / "golden/finished-packages"


def inspect(package: str | Path, *options: str) -> dict[str, Any]:
    result = run_command("package", "inspect", package, *options, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_a_release_shows_what_its_directory_shows(
    registry: Server, tmp_path: Path, console: Console, monkeypatch: Any
) -> None:
    folder = Path(shutil.copytree(FINISHED / "golden-fim-de8303b786", tmp_path / "package"))
    reference = f"{registry.host}/acme/{tmp_path.name.replace('_', '-').lower().strip('-')}:1.0"
    publish(folder, reference, insecure=True, console=console)
    local, remote = inspect(folder), inspect(reference, "--insecure")
    assert remote.pop("manifest").startswith("sha256:") and local.pop("manifest") is None
    assert (local.pop("package"), remote.pop("package")) == (str(folder), reference)
    assert remote == local
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", "correct horse")
    generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", b"correct horse")
    withdraw = ("package", "withdraw", reference, "--insecure", "--key", tmp_path / "acme.key")
    assert run_command(*withdraw, "--reason", "Leaks test data.").exit_code == 0
    remote = inspect(reference, "--insecure")
    assert remote["withdrawn"] and remote["withdrawals"][0]["reason"] == "Leaks test data."
    assert remote["signatures"]["claimed"] and inspect(folder)["withdrawn"] is False
    export = ("package", "export", reference, tmp_path / "record", "--only-record", "--insecure")
    assert run_command(*export).exit_code == 0
    assert "WITHDRAWN" in (tmp_path / "record/README.md").read_text()
