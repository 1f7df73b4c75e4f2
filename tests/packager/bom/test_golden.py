"""Form 1 of the bill of materials, byte for byte: packages that have one are compared with it for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from starfreight.evaluation import Evaluation
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor, Document, Package, TrainingDataFiles
from starfreight.package_evaluations import PackagedEvaluation, PackageEvaluations
from starfreight.packager.bom import BomFacts, make_bom, read_facts
from starfreight.packager.provenance.recorded import parse_provenance
from starfreight.quantization import Quantization

TESTS = Path(__file__).parents[2]
GOLDEN = TESTS / "packager" / "golden"
PACKAGES = TESTS / "golden" / "finished-packages"


def test_the_document_of_a_statement_of_version_2_is_the_golden_one() -> None:
    folder = GOLDEN / "bom" / "hub"
    provenance = parse_provenance((folder / "statement.json").read_bytes())
    assert provenance.version == 2
    data = make_bom(BomFacts(Package.load(folder), provenance, PackageEvaluations(())), form=1)
    assert data == (GOLDEN / "bom" / "hub.json").read_bytes()


def part(digit: str) -> Descriptor:
    return Descriptor(media_type="text/plain", digest="sha256:" + digit * 64, size=10)


def evaluations() -> PackageEvaluations:
    record = (GOLDEN / "evaluations" / "model" / "evaluation.json").read_bytes()
    evaluation = Evaluation.model_validate_json(record)
    return PackageEvaluations((PackagedEvaluation(Quantization.Q8_0, "model", evaluation, part("e"), None),))


@pytest.mark.parametrize("name", ["golden-fim-de8303b786", "golden-sweep-rank-4-44cf01916d", "evaluated"])
def test_the_document_is_the_golden_one(name: str) -> None:
    folder = PACKAGES / ("golden-fim-de8303b786" if name == "evaluated" else name)
    package, found = Package.load(folder), PackageEvaluations(())
    if name == "evaluated":
        package = package.model_copy(
            update={
                "documents": (
                    Document(name="BASE_MODEL_CARD.md", text=part("a")),
                    Document(name="NOTICE", text=part("b")),
                ),
                "training_data": TrainingDataFiles(manifest=part("d")),
                "adapter": part("c"),
            }
        )
        found = evaluations()
    data = make_bom(read_facts(ImageLayout(folder), package, found), form=1)
    assert data == (GOLDEN / "bom" / f"{name}.json").read_bytes()
