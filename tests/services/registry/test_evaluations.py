"""Evaluations travel with a package through a registry; a missed quality rule stops it before."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import pytest
from small_evaluations import digest, passes, suite_result, write_evaluation

from starfreight.console import Console, no_progress
from starfreight.errors import GateError
from starfreight.evaluation import Evaluation
from starfreight.evaluation_statement import FIGURES
from starfreight.package import Attachment, Descriptor, Package
from starfreight.package_evaluations import PREDICATE_ANNOTATION, read_evaluations
from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.packager.evaluation.statements import figures_statement
from starfreight.packager.layout import ImageLayout, verify_layout
from starfreight.packager.registry.pull_package import pull_package
from starfreight.packager.registry.push import publish
from starfreight.quantization import Quantization
from starfreight.recipe.evaluate import QualityRule
from starfreight.registry import TagReference
from starfreight.registry.manifests import BuiltManifest, build_attachment, descriptor_for
from starfreight.registry.publishing import PublishingClient
from starfreight.registry.referrers import attach as attach_remote

IN_TOTO = "application/vnd.in-toto+json"


def evaluation(folder: Path, package: Package, rate: float, quantization: str = "Q4_K_M") -> Path:
    values = passes(80, rate)
    variant = next(each for each in package.variants if each.quantization == quantization)
    return write_evaluation(
        folder,
        [(suite_result("fim", "exact_match", values), values)],
        name=package.name,
        quantization=quantization,
        gguf=variant.gguf.digest,
        template=package.template and package.template.digest,
        settings=package.settings and package.settings.digest,
        run=package.run,
    )


@pytest.fixture
def evaluated(package_folder: Path, tmp_path: Path, console: Console) -> Path:
    attach(package_folder, evaluation(tmp_path / "e", Package.load(package_folder), 0.5), console)
    return package_folder


@pytest.fixture
def reference(registry: Any, repository: str) -> str:
    return f"{registry.host}/{repository}:1.0"


def test_figures_and_scores_come_back(
    evaluated: Path, reference: str, tmp_path: Path, console: Console
) -> None:
    publish(evaluated, reference, insecure=True, console=console)
    for tag in ("", "-q4_K_M-oci"):
        folder = tmp_path / f"pulled{tag}"
        pulled = pull_package(reference + tag, folder, insecure=True, console=console)
        assert pulled.package == Package.load(evaluated)
        (found,) = read_evaluations(folder).evaluations
        assert found.load_scores(folder) is not None and not found.signed
        assert "## Evaluation" in ImageLayout(folder).read(pulled.package.model_card).decode()


def test_a_later_evaluation_of_a_published_package_is_pulled_with_it(
    evaluated: Path, reference: str, tmp_path: Path, console: Console
) -> None:
    """The new record has to win over the earlier one, attached to the same manifest for Ollama."""
    publish(evaluated, reference, insecure=True, console=console)
    package = Package.load(evaluated)
    for number, quantization in enumerate(("Q8_0", "Q4_K_M")):
        made = evaluation(tmp_path / f"e{number}", package, 0.9, quantization)
        attach(evaluated, made, console)
        set_rules(
            evaluated, (QualityRule(suite="fim", figure="exact_match", at_least=0.1 + number),), console
        )
        if number == 0:
            publish(evaluated, reference, insecure=True, console=console)
        else:
            with pytest.raises(GateError, match=r"at_least 1\.1"):
                publish(evaluated, reference, insecure=True, console=console)
            set_rules(evaluated, (), console)
            publish(evaluated, reference, insecure=True, console=console)
        pulled = pull_package(reference, tmp_path / f"p{number}", insecure=True, console=console)
        assert pulled.package == Package.load(evaluated)


def test_a_missed_rule_sends_nothing(evaluated: Path, faulty: Any, repository: str, console: Console) -> None:
    set_rules(evaluated, (QualityRule(suite="fim", figure="exact_match", at_least=0.9),), console)
    with pytest.raises(GateError, match=r"misses its quality rules: Q4_K_M: fim/exact_match at_least 0.9"):
        publish(evaluated, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert faulty.seen == []


def test_another_variant_may_get_the_plain_tag(evaluated: Path, reference: str, console: Console) -> None:
    published = publish(evaluated, reference, insecure=True, console=console, default=Quantization.Q8_0)
    tags = {tag.tag: tag.quantization for tag in published.tags}
    assert (tags["1.0"], tags["1.0-oci"], tags["1.0-q4_K_M"]) == ("Q8_0", "Q8_0", "Q4_K_M")


@pytest.mark.parametrize("change", [{"gguf": digest("another")}, None])
def test_a_foreign_evaluation_in_the_registry_is_left_there_unless_it_is_of_the_file(
    change: Mapping[str, Any] | None, evaluated: Path, registry: Any, repository: str, reference: str,
    tmp_path: Path, console: Console,
) -> None:  # fmt: skip
    publish(evaluated, reference, insecure=True, console=console)
    package = Package.load(evaluated)
    record = Evaluation.load(evaluation(tmp_path / "forged", package, 1.0))
    record = record.model_copy(update={"model": record.model.model_copy(update=change or {}), "scores": None})
    data = figures_statement(package, package.default_variant, "model", record)
    subject = package.default_variant.manifests[0].manifest
    blob = descriptor_for(IN_TOTO, data)
    built = build_attachment(subject, blob, IN_TOTO, {PREDICATE_ANNOTATION: FIGURES})
    client = PublishingClient(TagReference(registry.host, repository, "1.0"), insecure=True)
    send(client, blob, data, built)
    attachment = Attachment(
        subject=subject.digest,
        artifact_type=IN_TOTO,
        manifest=descriptor_for(built.media_type, built.manifest),
    )
    attach_remote(client, attachment, built.manifest)
    pulled = pull_package(reference, tmp_path / "pulled", insecure=True, console=console)
    verify_layout(tmp_path / "pulled", console)
    assert pulled.added == (0 if change else 1)
    found = read_evaluations(tmp_path / "pulled")
    assert len(found.evaluations) == (1 if change else 2) and not any(e.signed for e in found.evaluations)


class _Memory:
    """Blobs to upload."""

    def __init__(self, data: Mapping[str, bytes]) -> None:
        self._data = data

    def open(self, blob: Descriptor) -> contextlib.AbstractContextManager[IO[bytes]]:
        return contextlib.closing(io.BytesIO(self._data[blob.digest]))

    def where(self, blob: Descriptor) -> str:
        return blob.digest


def send(client: PublishingClient, blob: Descriptor, data: bytes, built: BuiltManifest) -> None:
    """Uploads what an attachment refers to."""
    config = descriptor_for(built.config_media_type, built.config)
    source = _Memory({blob.digest: data, config.digest: built.config})
    for each in (blob, config):
        client.upload(source, each, no_progress)
