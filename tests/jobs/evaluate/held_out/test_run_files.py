"""Held-out files of runs: found again by their digests."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_jobs import CODE

from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.errors import InputError
from starfreight.files import sha256_bytes
from starfreight.jobs.evaluate.held_out import find_held_out
from starfreight.jobs.evaluate.suites.interface import HeldOut, SkippedSuite
from starfreight.run import DATA_MANIFEST, INPUTS_FILE, Inputs

GOLDEN = Path(__file__).parents[3] / "golden"
QUIET = Console(quiet=True)


def held_out_names(run: Path, source: int = 0) -> set[str]:
    entries = DataManifest.load(run / DATA_MANIFEST).kept(source)
    return {entry.path for entry in entries if entry.split == "held_out"}


@pytest.fixture
def golden(tmp_path: Path) -> Callable[[str], Path]:
    """A finished run of version 0.1.0, moved with its inputs."""

    def copy(name: str) -> Path:
        shutil.copytree(GOLDEN / "inputs", tmp_path / "inputs", dirs_exist_ok=True)
        run = next((GOLDEN / "finished-runs").glob(f"{name}-*"))
        shutil.copytree(run, tmp_path / "runs" / run.name)
        moved = tmp_path / "runs" / run.name
        inputs = json.loads(
            (moved / INPUTS_FILE).read_text().replace("/tmp/golden-work", f"{tmp_path}/inputs")
        )
        (moved / INPUTS_FILE).write_text(json.dumps(inputs))
        return moved

    return copy


def test_held_out_files_are_those_of_the_manifest_with_the_rest_of_their_repository(
    golden: Callable[[str], Path],
) -> None:
    run = golden("golden-fim")
    found = find_held_out(run, None, QUIET)
    assert {file.path for file in found.files} == held_out_names(run)
    assert found.name == f"held-out files of {run.name}"
    assert found.license == "MIT"
    for file in found.files:
        assert file.id == f"0/{file.path}"
        assert (file.language, file.repository) == ("Python", "code")
        assert file.text == (run.parent.parent / "inputs/code" / file.path).read_text()
    # Training files are context, too.
    assert {path for path, _ in found.others("code")} == {f"basket_{number}.py" for number in range(8)}
    assert found.others("another") == ()


def test_a_source_of_several_repositories_gives_the_context_of_each(golden: Callable[[str], Path]) -> None:
    run = golden("golden-repository")
    (file,) = find_held_out(run, None, QUIET).files
    inside = run.parent.parent / "inputs/repositories" / file.repository
    others = find_held_out(run, None, QUIET).others(file.repository)
    assert {path for path, _ in others} == {path.name for path in inside.iterdir()}


def test_code_is_found_beside_instructions_and_instructions_alone_are_skipped(
    golden: Callable[[str], Path],
) -> None:
    assert {
        file.id.split("/")[0] for file in find_held_out(golden("golden-sweep-rank-2"), None, QUIET).files
    } == {"0"}
    with pytest.raises(SkippedSuite, match=r"holds out no files of code: .*--held-out"):
        find_held_out(golden("golden-instruct"), None, QUIET)


def test_a_changed_file_is_left_out_and_most_of_them_are_an_error(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    source = {"source": "./code", "license": "MIT", "held_out": 0.5, "filters": {"near_duplicates": False}}
    run = prepare(write_job(data=source))
    first, *others = sorted(held_out_names(run))
    code = Path(Inputs.load(run).data[0])
    (code / first).write_text("changed = True\n")
    (code / "new.py").write_text(CODE.format(number=99))
    found = find_held_out(run, None, Console())
    assert {file.path for file in found.files} == set(others)
    assert "left out: 1 of 4 held-out files, which changed" in capsys.readouterr().err
    for name in others[:2]:
        (code / name).unlink()
    with pytest.raises(InputError, match="3 of 4") as caught:
        find_held_out(run, None, QUIET)
    assert "--held-out" in str(caught.value.fix)


def test_without_its_sources_a_run_has_no_held_out_files(golden: Callable[[str], Path]) -> None:
    run = golden("golden-fim")
    shutil.rmtree(run.parent.parent / "inputs/code")
    with pytest.raises(SkippedSuite, match="not on this machine"):
        find_held_out(run, None, QUIET)
    (run / INPUTS_FILE).unlink()
    with pytest.raises(SkippedSuite, match="not on this machine"):
        find_held_out(run, None, QUIET)


def test_a_changed_manifest_is_an_error_and_one_of_an_earlier_release_is_skipped(
    golden: Callable[[str], Path],
) -> None:
    run = golden("golden-fim")
    path = run / DATA_MANIFEST
    original = path.read_bytes()
    path.write_bytes(original.replace(b'"train"}', b'"held_out"}', 1))
    with pytest.raises(InputError, match="data manifest has changed"):
        find_held_out(run, None, QUIET)
    earlier = json.dumps({"version": 1, "sources": []}, indent=1).encode()
    path.write_bytes(earlier)
    record = json.loads((run / "run.json").read_text())
    record["data_manifest"].update(digest=sha256_bytes(earlier), size=len(earlier))
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(SkippedSuite, match="earlier release"):
        find_held_out(run, None, QUIET)
    path.unlink()
    with pytest.raises(InputError, match="no data manifest"):
        find_held_out(run, None, QUIET)


def test_personal_data_are_replaced_as_in_training(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path]
) -> None:
    source = {"source": "./code", "license": "MIT", "held_out": 1.0, "filters": {"near_duplicates": False}}
    recipe = write_job(data=source)
    mail = "ada.lovelace@" + "analytical-engines.org"
    for path in (recipe.parent / "code").iterdir():
        path.write_text(f'AUTHOR = "{mail}"\n' + path.read_text())
    found = find_held_out(prepared(recipe, prepare), None, QUIET)
    for text in [file.text for file in found.files] + [text for _, text in found.others("code")]:
        assert "AUTHOR" in text
        assert mail not in text


def prepared(recipe: Path, prepare: Callable[[Path], Path]) -> Path:
    value = json.loads(recipe.read_text())
    value["run"]["allow_little_data"] = True
    recipe.write_text(json.dumps(value))
    return prepare(recipe)


def of_records(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], records: list[dict[str, Any]]
) -> HeldOut:
    source = {
        "source": "./data.jsonl",
        "license": "MIT",
        "held_out": 0.3,
        "filters": {"near_duplicates": False},
    }
    recipe = write_job(data=source)
    (recipe.parent / "data.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return find_held_out(prepared(recipe, prepare), None, QUIET)


def test_a_held_out_triple_is_the_code_of_its_three_parts(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path]
) -> None:
    triples = [
        {"prefix": f"def area_{number}(side):\n", "middle": f"    return side ** {number}", "suffix": "\n"}
        for number in range(40)
    ]
    found = of_records(write_job, prepare, triples)
    assert 8 <= len(found.files) <= 16
    texts = {"".join(record.values()) for record in triples}
    assert {file.text for file in found.files} < texts
    assert {file.language for file in found.files} == {"other"}


def test_a_held_out_record_of_a_file_has_its_language_and_repository(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path]
) -> None:
    records = [
        {
            "content": CODE.format(number=number),
            "path": f"src/basket_{number}.py",
            "repo_name": f"shop-{number % 4}",
        }
        for number in range(40)
    ]
    found = of_records(write_job, prepare, records)
    assert {file.language for file in found.files} == {"Python"}
    home = found.files[0].repository
    assert home.startswith("shop-")
    assert len(found.others(home)) == 10


def test_without_a_run_and_a_directory_the_suite_is_skipped_with_advice() -> None:
    with pytest.raises(SkippedSuite, match=r"--run.*--held-out"):
        find_held_out(None, None, QUIET)
