"""The documents and the bill of materials of a published package, for whoever gets it from a registry."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from starfreight.cli import cli
from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager import media_types
from starfreight.packager.build.build_package import build_package
from starfreight.packager.layout import ImageLayout, attach, verify_layout
from starfreight.packager.layout.write_package import bom_evidence
from starfreight.packager.registry.pull_package import pull_package
from starfreight.packager.registry.push import publish
from starfreight.registry import TagReference
from starfreight.registry.publishing import PublishingClient
from starfreight.registry.referrers import attach as attach_remote

GOLDEN = Path(__file__).parents[2] / "golden"


@pytest.fixture
def built(tmp_path: Path, console: Console) -> Path:
    """A package with the card and the notice of its base."""
    base = shutil.copytree(GOLDEN / "inputs" / "base", tmp_path / "base")
    (base / "README.md").write_text("# The base\n")
    (base / "AUTHORS").write_text("A\n")
    run = shutil.copytree(GOLDEN / "finished-runs" / "golden-fim-de8303b786", tmp_path / "run")
    build_package(run, tmp_path / "p", base, console)
    return tmp_path / "p"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_bill_of_materials_stays_in_the_registry(
    built: Path, registry: Any, repository: str, tmp_path: Path, console: Console
) -> None:
    reference = f"{registry.host}/{repository}:1.0"
    theirs, package = shutil.copytree(built, tmp_path / "theirs"), Package.load(built)
    subject = package.default_variant.manifests[0].manifest
    attach(theirs, [bom_evidence(subject, b'{"bomFormat":"CycloneDX"}', package.created)], console)
    publish(built, reference, insecure=True, console=console)
    extra = [each for each in Package.load(theirs).attachments if each not in package.attachments]
    push_attachment(theirs, extra[0].manifest.digest, registry.host, repository)
    pulled = pull_package(reference, tmp_path / "pulled", insecure=True, console=console)
    assert files(tmp_path / "pulled") == files(built)
    assert pulled.added == 0
    verify_layout(tmp_path / "pulled", console)


def push_attachment(folder: Path, digest: str, host: str, repository: str) -> None:
    package, layout = Package.load(folder), ImageLayout(folder)
    attachment = next(each for each in package.attachments if each.manifest.digest == digest)
    assert attachment.artifact_type == media_types.BOM
    client = PublishingClient(TagReference(host, repository, "1.0"), insecure=True)
    manifest = layout.manifest(attachment.manifest)
    for blob in (manifest.config, *manifest.layers):
        client.upload(layout, blob, lambda amount, what=None: None)
    attach_remote(client, attachment, layout.read(attachment.manifest))


@pytest.mark.parametrize("format", ["", "-oci", "-docker"])
def test_an_installation_has_the_documents_whatever_the_tag(
    format: str, built: Path, registry: Any, repository: str, tmp_path: Path, console: Console
) -> None:
    reference = f"{registry.host}/{repository}:1.0"
    publish(built, reference, insecure=True, console=console, formats=("ollama", "modelpack", "docker"))
    arguments = ["package", "install", reference + format, "--to", str(tmp_path / "out"), "--insecure"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "BASE_MODEL_CARD.md").read_text() == "# The base\n"
    assert (tmp_path / "out" / "AUTHORS").read_text() == "A\n"
    if format != "-docker":  # Without a template it is another model than the record's.
        bom = json.loads((tmp_path / "out" / "bom.cdx.json").read_bytes())
        assert bom["metadata"]["component"]["name"] == "golden-fim"
