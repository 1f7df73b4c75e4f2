"""Attaching evaluations: bound to the file, in every manifest and the card, whole after a kill."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_evaluations import digest, passes
from stopped_writes import full_disk, in_a_child, killer

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.evaluation import EVALUATION_FILE, SCORES_FILE, Scores
from starfreight.evaluation_statement import FIGURES
from starfreight.package import Package
from starfreight.package_evaluations import SCORES, TEST_RESULT, evidence_kind, read_evaluations
from starfreight.packager.evaluation.attach import attach, set_rules
from starfreight.packager.layout import Evidence, ImageLayout, verify_layout
from starfreight.packager.layout import attach as attach_evidence
from starfreight.recipe.evaluate import QualityRule

GOLDEN = sorted(
    path for path in (Path(__file__).parents[2] / "golden/finished-packages").iterdir() if path.is_dir()
)
Evaluate = Callable[..., Path]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kinds(folder: Path) -> dict[str, list[str]]:
    """Kinds of evidence by subject."""
    package, layout = Package.load(folder), ImageLayout(folder)
    found: dict[str, list[str]] = {}
    for attachment in package.attachments:
        kind = evidence_kind(layout, attachment)
        found.setdefault(attachment.subject, []).extend([kind[0]] if kind else [])
    return found


def card(folder: Path) -> str:
    return ImageLayout(folder).read(Package.load(folder).model_card).decode()


def test_an_evaluation_is_attached_to_every_manifest_of_its_variant(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    made = evaluate(folder)
    package = attach(folder, made, console)
    assert package == Package.load(folder)
    verify_layout(folder, console)
    four, eight = package.variants
    found = kinds(folder)
    assert all(found[each.manifest.digest] == [FIGURES, SCORES] for each in four.manifests)
    assert all(found[each.manifest.digest] == [] for each in eight.manifests)

    (read,) = read_evaluations(folder).evaluations
    assert (read.quantization, read.role, read.signed) == (four.quantization, "model", False)
    assert read.evaluation.model_dump() == json.loads((made / EVALUATION_FILE).read_bytes()) | {
        "results": read.evaluation.model_dump()["results"]
    }
    assert read.load_scores(folder) == Scores.load(made, read.evaluation)
    statement = json.loads(ImageLayout(folder).read(read.statement))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == FIGURES
    assert statement["subject"] == [
        {"name": "tiny-coder-Q4_K_M.gguf", "digest": {"sha256": four.gguf.digest.removeprefix("sha256:")}}
    ]


def test_attached_twice_is_attached_once_and_equal_packages_stay_equal(
    folder: Path, evaluate: Evaluate, console: Console, tmp_path: Path
) -> None:
    made, other = evaluate(folder), tmp_path / "other"
    shutil.copytree(folder, other)
    attach(folder, made, console)
    before = files(folder)
    attach(folder, made, console)
    attach(other, shutil.copytree(made, tmp_path / "elsewhere"), console)
    assert files(folder) == before == files(other)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)
def test_a_package_of_an_earlier_version_takes_evaluations(
    golden: Path, evaluate: Evaluate, console: Console, tmp_path: Path
) -> None:
    folder = shutil.copytree(golden, tmp_path / "p")
    old = Package.load(folder)
    quantization = str(old.variants[0].quantization)
    attach(folder, evaluate(folder, quantization), console)
    new = attach(folder, evaluate(folder, quantization, role="base"), console)
    verify_layout(folder, console)
    assert sorted(each.role for each in read_evaluations(folder).evaluations) == ["base", "model"]
    assert "## Evaluation" in card(folder) and new.model_card != old.model_card
    # Ollama's manifest does not hold the card.
    for before, after in zip(old.variants, new.variants, strict=True):
        same = [a.manifest == b.manifest for a, b in zip(before.manifests, after.manifests, strict=True)]
        assert same == [True, False]


def test_the_later_evaluation_of_a_suite_counts(folder: Path, evaluate: Evaluate, console: Console) -> None:
    early, late = "2026-01-31T12:00:00+00:00", "2026-01-31T13:30:00+02:00"
    attach(folder, evaluate(folder, rate=0.2, ended=early), console)
    attach(folder, evaluate(folder, rate=0.8, ended=late, suites={"fim": passes(50, 0.8)}), console)
    attach(folder, evaluate(folder, ended="2026-01-01T00:00:00Z", suites={"mbpp": passes(9, 0.5)}), console)
    found = read_evaluations(folder)
    quantization = Package.load(folder).default
    result = found.result(quantization, "fim")
    # Half past one at +02:00 is before noon at UTC.
    assert result is not None and result[0].evaluation.ended == early
    assert found.result(quantization, "mbpp") is not None
    assert found.result(quantization, "none") is None
    verify_layout(folder, console)


@pytest.mark.parametrize(("stop", "ended", "every"), [(killer, -signal.SIGKILL, 2), (full_disk, 4, 7)])
def test_stopped_at_any_step_the_package_is_the_old_or_the_new_one(
    stop: Callable[[int], Any],
    ended: int,
    every: int,
    folder: Path,
    evaluate: Evaluate,
    console: Console,
    tmp_path: Path,
) -> None:
    made = evaluate(folder, rate=0.4)
    set_rules(folder, (QualityRule(suite="fim", figure="exact_match", at_least=0.1),), console)
    old = Package.load(folder)
    whole = shutil.copytree(folder, tmp_path / "whole")
    new = attach(whole, made, console)
    assert new.model_card != old.model_card
    found = []
    for number in range(1, 1000, every):
        copy = shutil.copytree(folder, tmp_path / str(number))
        code = in_a_child(copy, stop(number), lambda copy=copy: attach(copy, made, console))
        verify_layout(copy, console)
        now = Package.load(copy)
        assert now in (old, new)
        found.append(now == new)
        if code == 0:
            break
        assert code == ended
        if number % 6 == 1 or now == new:
            assert attach(copy, made, console) == new
            assert files(copy) == files(whole)
        shutil.rmtree(copy)
    assert code == 0 and found == sorted(found) and set(found) == {False, True}


def test_an_unfinished_package_takes_no_other_manifest_under_its_names(
    folder: Path, evaluate: Evaluate, console: Console, tmp_path: Path
) -> None:
    """Only the card may differ: the index of another package is no addition."""
    other = shutil.copytree(folder, tmp_path / "other")
    attach(other, evaluate(other), console)
    shutil.copytree(other / "blobs", folder / "blobs", dirs_exist_ok=True)
    index = json.loads((folder / "index.json").read_bytes())
    theirs = json.loads((other / "index.json").read_bytes())["manifests"]
    (folder / ".unfinished").touch()
    named = next(each for each in theirs if each not in index["manifests"] and "annotations" in each)
    index["manifests"].append(named)
    (folder / "index.json").write_text(json.dumps(index))
    verify_layout(folder, console)
    named["annotations"]["org.opencontainers.image.ref.name"] = "q8_0-oci"
    (folder / "index.json").write_text(json.dumps(index))
    with pytest.raises(GateError, match=r"index\.json does not agree"):
        verify_layout(folder, console)


def test_a_signed_package_keeps_its_card_and_its_manifests(
    folder: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console()
    signature = "application/vnd.dsse.envelope.v1+json"
    old = Package.load(folder)
    signed = Evidence(
        subject=old.variants[1].manifests[1].manifest,
        data=b"{}",
        media_type=signature,
        artifact_type=signature,
        annotations={},
    )
    attach_evidence(folder, [signed], console)
    new = attach(folder, evaluate(folder), console)
    assert (new.model_card, new.variants) == (old.model_card, old.variants)
    assert "Its model card stays as it is" in capsys.readouterr().err
    assert len(read_evaluations(folder).evaluations) == 1
    verify_layout(folder, console)


def test_a_test_result_of_another_program_is_evidence_of_its_own(
    folder: Path, evaluate: Evaluate, console: Console
) -> None:
    package = Package.load(folder)
    foreign = Evidence(
        subject=package.default_variant.manifests[0].manifest,
        data=json.dumps({"predicate": {"result": "PASSED", "configuration": []}}).encode(),
        media_type="application/vnd.in-toto+json",
        artifact_type="application/vnd.in-toto+json",
        annotations={"in-toto.io/predicate-type": TEST_RESULT},
    )
    attach_evidence(folder, [foreign], console)
    verify_layout(folder, console)
    assert attach(folder, evaluate(folder), console).model_card == package.model_card
    verify_layout(folder, console)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"gguf": digest("another")}, "is of the file sha256:[0-9a-f]+, which is not in the package"),
        ({"template": None}, "another template than the package's"),
        ({"settings": digest("x")}, "another settings than the package's"),
        ({"adapter": digest("x")}, "another adapter than the package's"),
        ({"status": "stopped"}, "is not finished: its status is stopped"),
        ({"ended": "yesterday"}, "has no time at which it ended"),
        ({"ended": "2026-01-01T00:00:00"}, "has no time at which it ended"),
        ({"run": "another-run"}, "is not of the run tiny-coder-0123456789"),
        ({"role": "base", "run": None}, "is not of the run"),
        ({"role": "base", "quantization": "Q2_K"}, "another quantization than Q4_K_M"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_evaluation_of_something_else_is_refused(
    changes: dict[str, Any], problem: str, folder: Path, evaluate: Evaluate, console: Console
) -> None:
    before = files(folder)
    quantization = changes.pop("quantization", "Q4_K_M")
    made = evaluate(folder, quantization, **changes)
    with pytest.raises(InputError, match=problem):
        attach(folder, made, console)
    assert files(folder) == before


def test_edited_scores_are_refused(folder: Path, evaluate: Evaluate, console: Console) -> None:
    made = evaluate(folder)
    path = made / SCORES_FILE
    path.write_bytes(path.read_bytes().replace(b": 0.0", b": 1.0", 1))
    before = files(folder)
    with pytest.raises(GateError, match="not those of the evaluation"):
        attach(folder, made, console)
    assert files(folder) == before


def test_a_directory_without_an_evaluation_is_refused(folder: Path, console: Console, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evaluation does not exist"):
        attach(folder, tmp_path, console)
