"""``starfreight run`` on a backend whose jobs also package and publish, and on one whose jobs only train."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from servers import Server

from starfreight.cli import main
from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.jobs.backends.interface import Fetched, JobRequest, Location, Report, Submitted
from starfreight.packager.provenance.signing.local_key import generate_key
from starfreight.packager.provenance.trust import load_trust, verify_signatures
from starfreight.packager.registry.pull_package import pull_package

GOLDEN = Path(__file__).parents[1] / "golden"
RUN = "golden-fim-de8303b786"


class Elsewhere:
    """A backend with the golden run and package as its results."""

    runs_later_steps = True
    requests: ClassVar[list[JobRequest]] = []
    damage: Callable[[Path], object] = staticmethod(lambda package: None)

    def __init__(self, location: Location) -> None:
        self.location = location

    def submit(self, request: JobRequest, console: Any) -> Submitted:
        self.requests.append(request)
        return Submitted(("there",), Report({}, ""))

    def fetch(self, name: str, runs: Path, console: Any, packages: Path | None = None) -> Fetched:
        assert name == "there" and packages is not None
        shutil.copytree(GOLDEN / "finished-runs" / RUN, runs / RUN)
        shutil.copytree(GOLDEN / "finished-packages" / RUN, packages / RUN)
        type(self).damage(packages / RUN)
        return Fetched(runs / RUN, packages / RUN)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> type[Elsewhere]:
    """The backend, in the place of clusters for one test."""
    monkeypatch.setattr(
        "starfreight.jobs.backends.table.open_backend", lambda where, location: Elsewhere(location)
    )
    monkeypatch.setattr(Elsewhere, "requests", [])
    return Elsewhere


def run(tmp_path: Path, *options: str, more: str = "") -> int:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((GOLDEN / "inputs" / "fim.yaml").read_text() + more)
    folders = ("--runs", str(tmp_path / "runs"), "--packages", str(tmp_path / "packages"))
    return main(["run", str(recipe), "--on", "kubernetes", *folders, "--json", *options])


def test_a_job_that_packages_brings_home_its_run_and_its_package(
    elsewhere: type[Elsewhere], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--namespace", "research") == 0
    (variant,) = json.loads(capsys.readouterr().out)["variants"]
    assert variant == {"run": str(tmp_path / "runs" / RUN), "package": str(tmp_path / "packages" / RUN)}
    (request,) = elsewhere.requests
    assert (request.kind.name, request.last_step, request.ship) == ("train", "package", True)
    assert request.file.recipe.run.kubernetes.namespace == "research"


@pytest.mark.usefixtures("elsewhere")
def test_the_next_commands_try_the_model_first_which_needs_no_registry(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((GOLDEN / "inputs" / "fim.yaml").read_text())
    package = tmp_path / "packages" / RUN
    folders = ["--runs", str(tmp_path / "runs"), "--packages", str(package.parent)]
    assert main(["run", str(recipe), "--on", "kubernetes", *folders]) == 0
    head, *commands = capsys.readouterr().out.splitlines()[-3:]
    assert head == "Next:"
    assert commands[0].split() == ["starfreight", "try", str(package)]
    assert commands[1].split() == ["starfreight", "publish", str(package), "HOST/NAMESPACE/NAME:TAG"]


def test_a_recipe_that_publishes_is_published_by_the_job_and_not_again_from_here(
    elsewhere: type[Elsewhere], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nothing listens there: a second push from this machine would fail.
    more = "publish: {reference: '127.0.0.1:9/acme/coder:1.0', insecure: true}\n"
    assert run(tmp_path, "--publish", more=more) == 0
    (variant,) = json.loads(capsys.readouterr().out)["variants"]
    assert variant["published"] == {"reference": "127.0.0.1:9/acme/coder:1.0"}
    assert elsewhere.requests[0].last_step == "publish"


def test_a_sweep_is_packaged_by_the_job_and_published_from_here(
    elsewhere: type[Elsewhere], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[str] = []

    class Published:
        def as_dict(self) -> dict[str, str]:
            return {}

        def as_text(self) -> str:
            return ""

    def publish(package: Path, reference: str, **options: Any) -> Published:
        pushed.append(reference)
        return Published()

    monkeypatch.setattr("starfreight.packager.registry.push.publish", publish)
    more = "publish: {reference: 'registry.example/acme/coder:1.0'}\nsweep: {training.seed: [1, 2]}\n"
    assert run(tmp_path, "--publish", more=more) == 0
    assert elsewhere.requests[0].last_step == "package"
    assert pushed == ["registry.example/acme/coder:1.0"]


@pytest.mark.usefixtures("plain_environment")
def test_a_recipe_that_signs_is_signed_and_published_from_here(
    elsewhere: type[Elsewhere], registry: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", b"correct horse")
    reference = f"{registry.host}/acme/signed-by-recipe:1.0"
    more = f"publish: {{reference: '{reference}', insecure: true, sign: {{key: acme.key}}}}\n"
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", "wrong")
    assert run(tmp_path, "--publish", more=more) == 2
    assert not elsewhere.requests  # Before anything is trained.
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", "correct horse")
    assert run(tmp_path, "--publish", more=more) == 0
    assert elsewhere.requests[0].last_step == "package"
    trusted = load_trust(keys=(tmp_path / "acme.pub",))
    pulled = pull_package(reference, tmp_path / "pulled", insecure=True, console=Console(quiet=True))
    assert verify_signatures(ImageLayout(tmp_path / "pulled"), pulled.package, trusted).verified


def test_a_package_that_arrives_damaged_is_refused_with_exit_code_3(
    elsewhere: type[Elsewhere],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def damage(package: Path) -> None:
        blob = max((package / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
        data = bytearray(blob.read_bytes())
        data[-1] ^= 1
        blob.write_bytes(data)

    monkeypatch.setattr(elsewhere, "damage", staticmethod(damage))
    assert run(tmp_path) == 3
    assert "another digest" in json.loads(capsys.readouterr().out)["error"]["what"]


def test_a_template_that_ollama_refuses_is_refused_before_the_job(
    elsewhere: type[Elsewhere], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    text = (GOLDEN / "inputs" / "fim.yaml").read_text()
    given = yaml.safe_load(text)
    given["package"] = {**given.get("package", {}), "template": "{{ .Promt }}"}
    recipe.write_text(yaml.safe_dump(given))
    folders = ("--runs", str(tmp_path / "runs"), "--packages", str(tmp_path / "packages"))
    assert main(["run", str(recipe), "--on", "kubernetes", *folders, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["next"] == "did you mean .Prompt?"
    assert elsewhere.requests == []
