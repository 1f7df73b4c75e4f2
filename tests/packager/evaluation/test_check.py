"""A package whose evaluations were changed, and hashed again, does not verify."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_evaluations import digest

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.evaluation import Evaluation
from starfreight.evaluation_statement import FIGURES
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_evaluations import (
    GATE_ANNOTATION,
    PREDICATE_ANNOTATION,
    SCORES,
    TEST_RESULT,
    read_evaluations,
)
from starfreight.packager.evaluation.attach import attach
from starfreight.packager.evaluation.gate import check_package
from starfreight.packager.evaluation.statements import figures_statement
from starfreight.packager.layout import Evidence, open_writer, verify_layout
from starfreight.packager.layout import attach as attach_evidence
from starfreight.packager.layout.rebuild import with_card

Evaluate = Callable[..., Path]
IN_TOTO = "application/vnd.in-toto+json"


def add(folder: Path, data: bytes, kind: str, **annotations: str) -> None:
    """Attaches evidence with right digests to the default variant, as anybody can."""
    artifact = SCORES if kind == SCORES else IN_TOTO
    notes = {} if kind == SCORES else {PREDICATE_ANNOTATION: kind}
    subject = Package.load(folder).default_variant.manifests[0].manifest
    evidence = Evidence(
        subject=subject, data=data, media_type=artifact, artifact_type=artifact,
        annotations={**notes, **annotations},
    )  # fmt: skip
    attach_evidence(folder, [evidence], Console(quiet=True))


def forged(folder: Path, made: Path, **model: Any) -> bytes:
    package = Package.load(folder)
    evaluation = Evaluation.load(made)
    evaluation = evaluation.model_copy(update={"model": evaluation.model.model_copy(update=model)})
    return figures_statement(package, package.default_variant, "model", evaluation)


def damage(folder: Path, made: Path, kind: str) -> tuple[bytes, str]:
    """Bytes of wrong evidence, and its kind."""
    good = figures_statement(
        Package.load(folder), Package.load(folder).default_variant, "model", Evaluation.load(made)
    )
    value = json.loads(good)
    if kind == "another file":
        return forged(folder, made, gguf=digest("another")), FIGURES
    if kind == "another subject":
        value["subject"][0]["digest"]["sha256"] = "0" * 64
    elif kind == "a key too many":
        value["predicate"]["evaluation"]["comment"] = "trust me"
    elif kind == "running":
        value["predicate"]["evaluation"]["status"] = "running"
    elif kind == "a name in two cases":
        return good.replace(b'"_type"', b'"_TYPE":1,"_type"', 1), FIGURES
    elif kind == "infinite":
        return good.replace(b'"value": 0.', b'"value": NaN, "x": 0.', 1), FIGURES
    elif kind == "nested":
        return b"[" * 100_000, FIGURES
    elif kind == "nothing":
        return b"", FIGURES
    return json.dumps(value).encode(), FIGURES


@pytest.mark.parametrize(
    "kind",
    ["another file", "another subject", "a key too many", "running", "a name in two cases", "infinite",
     "nested", "nothing"],
)  # fmt: skip
def test_a_wrong_evaluation_is_found_and_is_no_figure(
    kind: str, folder: Path, evaluate: Evaluate, console: Console
) -> None:
    data, predicate = damage(folder, evaluate(folder), kind)
    add(folder, data, predicate)
    with pytest.raises(GateError, match="an attachment is an evaluation that"):
        verify_layout(folder, console)
    found = read_evaluations(folder)
    assert found.evaluations == () and len(found.problems) == 1


def test_scores_without_their_evaluation_are_found(folder: Path, console: Console) -> None:
    add(folder, b'{"version":1,"suites":{}}', SCORES)
    with pytest.raises(GateError, match="scores that belong to none"):
        verify_layout(folder, console)


@pytest.mark.parametrize("data", [b"{}", b"nothing"])
def test_a_wrong_verdict_is_found(data: bytes, folder: Path, console: Console) -> None:
    add(folder, data, TEST_RESULT, **{GATE_ANNOTATION: "package.quality"})
    with pytest.raises(GateError, match=r"an attachment is (a|no) verdict"):
        verify_layout(folder, console)
    assert check_package(folder) is None


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"| exact_match | ", b"| exact_match | 9", "other figures than the attached"),
        (b"model-index: ", b"model-index: []\nx: ", "other figures than the attached"),
        (b"1) of sha256:", b"1) of sha256:" + b"0" * 64 + b" sha256:", "evaluation that is not attached"),
    ],
)
def test_a_card_with_other_figures_than_the_statements_is_found(
    old: bytes, new: bytes, problem: str, folder: Path, evaluate: Evaluate, console: Console
) -> None:
    package = attach(folder, evaluate(folder), console)
    card = ImageLayout(folder).read(package.model_card)
    head, _, tail = card.rpartition(old)
    write_with_card(folder, package, head + new + tail)
    with pytest.raises(GateError, match=problem):
        verify_layout(folder, console)


def write_with_card(folder: Path, package: Package, card: bytes) -> None:
    """Makes the manifests and the attachments again, as a forger does."""
    from starfreight.packager.evaluation.replace_card import _moved
    from starfreight.packager.layout.rebuild import read_credits, rebuild_manifests

    layout = ImageLayout(folder)
    with open_writer(folder, Console(quiet=True)) as writer:
        credits = read_credits(layout, package)
        changed = with_card(package, writer.add(card, "text/markdown"), credits)
        for manifest in rebuild_manifests(changed, credits):
            writer.add_manifest(manifest.built)
        pairs = [
            (before.manifest.digest, after.manifest)
            for one, other in zip(package.variants, changed.variants, strict=True)
            for before, after in zip(one.manifests, other.manifests, strict=True)
        ]
        attachments = tuple(_moved(writer, layout, each, dict(pairs)) for each in package.attachments)
        writer.finish(changed.model_copy(update={"attachments": attachments}))


def test_a_damaged_statement_of_a_damaged_package_is_no_crash(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    attach(folder, evaluate(folder), console)
    (found,) = read_evaluations(folder).evaluations
    path = ImageLayout(folder).blob_path(found.statement.digest)
    path.chmod(0o644)
    path.write_bytes(b"x" * found.statement.size)
    result = read_evaluations(folder)
    assert result.evaluations == () and "does not have the digest" in result.problems[0]
