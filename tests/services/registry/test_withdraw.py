"""A release is withdrawn in its registry, and refused wherever it is taken from there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_result import run_command
from servers import Server

from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.provenance.signing.local_key import generate_key
from starfreight.packager.registry.push import publish

FINISHED = Path(__file__).parents[2] / "golden/finished-packages"
REASON = "Trained on files of an opt-out."


@pytest.fixture
def release(registry: Server, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch) -> str:
    """A published release, withdrawn."""
    first = min(path for path in FINISHED.iterdir() if path.is_dir())
    folder = Path(shutil.copytree(first, tmp_path / "package"))
    reference = f"{registry.host}/acme/{tmp_path.name.replace('_', '-').lower().strip('-')}:1.0"
    publish(folder, reference, insecure=True, console=console)
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", "correct horse")
    generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", b"correct horse")
    return reference


def withdraw(release: str, tmp_path: Path) -> dict[str, Any]:
    result = run_command(
        "package",
        "withdraw",
        release,
        "--reason",
        REASON,
        "--key",
        tmp_path / "acme.key",
        "--insecure",
        "--json",
    )
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def test_a_release_is_withdrawn_without_its_directory(release: str, tmp_path: Path) -> None:
    package = Package.load(tmp_path / "package")
    variant = package.default_variant
    repository = release.removesuffix(":1.0")
    references = [release, f"{release}-{variant.tag}", f"{release}-oci"]
    references += [
        f"{repository}@{each.manifest.digest}" for each in variant.manifests if each.format != "docker"
    ]
    for number, reference in enumerate(references):
        install = ("package", "install", reference, "--insecure", "--to", tmp_path / f"before-{number}")
        assert run_command(*install).exit_code == 0
    done = withdraw(release, tmp_path)
    assert done["pushed"] > 0
    for reference in references:
        install = ("package", "install", reference, "--insecure", "--to", tmp_path / "after")
        refused = run_command(*install)
        assert refused.exit_code == 3 and REASON in refused.stderr, reference
        assert not (tmp_path / "after").exists()
    assert run_command(*install, "--force").exit_code == 0


def test_pull_refuses_unless_forced_and_brings_the_withdrawal(release: str, tmp_path: Path) -> None:
    withdraw(release, tmp_path)
    pull = ("package", "pull", release, tmp_path / "pulled", "--insecure")
    refused = run_command(*pull)
    assert refused.exit_code == 3 and REASON in refused.stderr
    assert not (tmp_path / "pulled").exists()
    assert run_command(*pull, "--force").exit_code == 0
    assert run_command("package", "verify", tmp_path / "pulled").exit_code == 3
    assert run_command("package", "install", tmp_path / "pulled", "--to", tmp_path / "x").exit_code == 3


def test_verify_names_the_signer_from_the_registry(release: str, tmp_path: Path) -> None:
    withdraw(release, tmp_path)
    result = run_command("package", "verify", release, "--insecure", "--key", tmp_path / "acme.pub", "--json")
    assert result.exit_code == 3
    (check,) = [each for each in json.loads(result.stdout)["checks"] if each["check"] == "withdrawal"]
    (found,) = check["findings"]
    assert REASON in found["what"] and "acme.pub" in found["what"]


def test_the_same_withdrawal_is_pushed_once(release: str, tmp_path: Path) -> None:
    assert withdraw(release, tmp_path)["added"] > 0
    again = withdraw(release, tmp_path)
    assert (again["added"], again["pushed"]) == (0, 0)


def test_trace_and_papers_read_a_release_without_its_models(release: str, tmp_path: Path) -> None:
    traced = run_command("package", "trace", release, "--license", "MIT", "--insecure", "--json")
    assert traced.exit_code == 0, traced.output
    local = run_command("package", "trace", tmp_path / "package", "--license", "MIT", "--json")
    assert json.loads(traced.stdout)["answers"] == json.loads(local.stdout)["answers"]
    paper = run_command("package", "papers", release, "--form", "eu-model-documentation", "--insecure")
    assert paper.exit_code == 0 and release in paper.stdout


def test_a_copy_carries_the_withdrawal_and_says_so(release: str, tmp_path: Path) -> None:
    copy = ("package", "copy", release, release.replace("acme/", "mirror/"), "--insecure")
    first = run_command(*copy, "--json")
    assert json.loads(first.stdout)["withdrawn"] is None and REASON not in first.stderr
    withdraw(release, tmp_path)
    again = run_command(*copy, "--json")
    assert again.exit_code == 0 and REASON in again.stderr
    assert REASON in json.loads(again.stdout)["withdrawn"]
    install = ("package", "install", copy[3], "--insecure", "--to", tmp_path / "after")
    assert run_command(*install).exit_code == 3
