"""``package trace`` answers from the data manifest, and says when it cannot."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_result import CommandResult, run_command
from traced_data import RECORD, TEXTS

from starfreight.files import sha256_bytes
from starfreight.package import Package
from starfreight.swhid import content_swhid

FINISHED = Path(__file__).parents[3] / "golden/finished-packages"
Trace = Callable[..., dict[str, Any]]


def run(*arguments: str | Path) -> CommandResult:
    return run_command("package", "trace", *arguments)


@pytest.fixture
def trace(make_package: Callable[..., Path]) -> Trace:
    """Asks one question about the package and returns its answer."""
    package = make_package()

    def ask(*arguments: str | Path) -> dict[str, Any]:
        result = run(package, *arguments, "--json")
        assert result.exit_code == 0, result.output
        (answer,) = json.loads(result.stdout)["answers"]
        return dict(answer)

    return ask


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        (TEXTS["src/app.py"], "used"),
        (TEXTS["src/held.py"], "held_out"),
        (RECORD, "used"),
        (b"container", "used"),
        (b"never seen", "not_found"),
        (b"", "not_found"),
        (TEXTS["src/app.py"] + b" ", "not_found"),
    ],
    ids=["file", "held out", "text of a record", "file of records", "unknown", "empty", "one space more"],
)
def test_a_file_is_found_by_its_contents(trace: Trace, tmp_path: Path, content: bytes, verdict: str) -> None:
    path = tmp_path / "elsewhere.txt"
    path.write_bytes(content)
    answer = trace("--file", path)
    assert answer["verdict"] == verdict
    assert answer["digest"] == sha256_bytes(content)
    assert answer["swhid"] == content_swhid(content)


def test_the_same_path_with_other_contents_is_told_apart(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "checkout/src/app.py"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"changed\n")
    answer = trace("--file", path)
    assert answer["verdict"] == "other_contents"
    assert [each["name"] for each in answer["examples"]["other_contents"]] == ["src/app.py"]


def test_a_file_name_alone_is_not_a_path(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "setup.py"
    path.write_bytes(b"another project's\n")
    assert trace("--file", path)["verdict"] == "not_found"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vendor/lib.py", ("vendored", "in vendor/", None)),
        ("src/copy.py", ("exact_duplicates", "src/app.py", "src/app.py")),
    ],
)
def test_a_file_left_out_comes_with_its_filter_and_reason(
    trace: Trace, tmp_path: Path, name: str, reason: tuple[str, str, str | None]
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"whatever\n")
    answer = trace("--file", path)
    assert answer["verdict"] == "left_out"
    (found,) = answer["examples"]["left_out"]
    assert (found["filter"], found["reason"], found["copy_of"]) == reason


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("acme/app", "used"),
        ("ACME/App", "used"),
        ("https://github.com/acme/app", "used"),
        ("https://github.com/acme/app.git/", "used"),
        ("https://user:secret@github.com/acme/app?x#y", "used"),
        ("git@github.com:acme/app.git", "used"),
        ("github.com/acme/app", "used"),
        ("app", "used"),
        ("other/app", "not_found"),
        ("acme/application", "not_found"),
        ("acme", "not_found"),
    ],
)
def test_a_repository_is_found_under_each_spelling(trace: Trace, name: str, verdict: str) -> None:
    assert trace("--repository", name)["verdict"] == verdict


def test_a_repository_answer_counts_training_held_out_and_left_out(trace: Trace) -> None:
    answer = trace("--repository", "acme/app")
    assert answer["counts"] == {"train": 2, "held_out": 1, "left_out": 3}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("MIT", {"train": 3, "held_out": 1}),
        ("gpl-2.0-only", {"train": 1}),
        ("GPL-3.0-only", {"left_out": 1}),
        ("NOASSERTION", {"records": 1, "held_out": 1, "left_out": 1}),
        ("GPL-2.0", {}),
        ("AGPL-3.0-only", {}),
    ],
)
def test_a_license_counts_samples_used_and_left_out(trace: Trace, name: str, counts: dict[str, int]) -> None:
    answer = trace("--license", name)
    assert answer["counts"] == counts
    assert (answer["verdict"] == "not_found") == (not counts)


@pytest.mark.parametrize(
    ("swhid", "verdict"),
    [
        (content_swhid(TEXTS["src/app.py"]), "used"),
        (content_swhid(TEXTS["src/app.py"]).upper().replace("SWH", "swh") + ";origin=https://x", "used"),
        (content_swhid(RECORD), "used"),
        (content_swhid(b"x"), "not_found"),
        ("swh:1:rev:" + "c" * 40, "used"),
        ("swh:1:rev:" + "d" * 40, "not_found"),
    ],
)
def test_a_swhid_is_a_files_or_a_commits(trace: Trace, swhid: str, verdict: str) -> None:
    assert trace("--swhid", swhid)["verdict"] == verdict


def test_replaced_secrets_of_a_source_are_told(trace: Trace) -> None:
    assert trace("--swhid", content_swhid(RECORD))["redacted"]
    assert not trace("--repository", "acme/app")["redacted"]


@pytest.mark.parametrize(
    "option",
    [
        ("--swhid", "swh:1:dir:" + "a" * 40),
        ("--swhid", "swh:1:cnt:" + "a" * 39),
        ("--license", "MIT OR Apache-2.0"),
        ("--license", ""),
        ("--repository", ""),
        ("--repository", "https://[::1"),
        ("--file", "missing.py"),
        ("--file", "/dev/null"),
    ],
)
def test_a_malformed_question_is_an_error(make_package: Callable[..., Path], option: tuple[str, str]) -> None:
    result = run(make_package(), *option)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output


def test_a_question_is_required(make_package: Callable[..., Path]) -> None:
    assert run(make_package()).exit_code == 2


def test_entries_cannot_steer_the_terminal(make_package: Callable[..., Path]) -> None:
    result = run(make_package(), "--license", "GPL-2.0-only")
    assert "pairs.jsonl:1" in result.stdout and "\x1b" not in result.stdout


def test_a_password_in_a_sources_address_is_not_shown(make_package: Callable[..., Path]) -> None:
    for option in ((), ("--json",)):
        result = run(make_package(), "--repository", "acme/app", *option)
        assert "s3cret" not in result.output and "git+https://github.com/acme/app" in result.stdout


def test_several_questions_have_their_answers_in_one_run(make_package: Callable[..., Path]) -> None:
    result = run(make_package(), "--license", "MIT", "--license", "ISC", "--repository", "acme/app", "--json")
    found = [(each["kind"], each["verdict"]) for each in json.loads(result.stdout)["answers"]]
    assert found == [("repository", "used"), ("license", "used"), ("license", "not_found")]


def test_the_evidence_names_manifest_and_statement(make_package: Callable[..., Path]) -> None:
    folder = make_package()
    package = Package.load(folder)
    evidence = json.loads(run(folder, "--license", "MIT", "--json").stdout)["evidence"]
    assert package.training_data is not None
    assert evidence["data_manifest"] == package.training_data.manifest.digest
    assert evidence["statement"] == package.provenance.digest
    assert evidence["signed_by"] == [] and not evidence["signatures_checked"]


def test_without_a_data_manifest_only_the_run_knows(
    make_package: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_package(data_manifest="digest")
    unknown = json.loads(run(folder, "--license", "MIT", "--json").stdout)
    assert unknown["answers"][0]["verdict"] == "unknown"
    data = tmp_path / "runs/tiny/data"
    known = json.loads(run(folder, "--license", "MIT", "--data-manifest", data, "--json").stdout)
    assert known["answers"][0]["verdict"] == "used"


def test_another_runs_data_is_refused(make_package: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_package(data_manifest="digest")
    data = tmp_path / "runs/tiny/data"
    text = (data / "manifest.json").read_text().replace("src/app.py", "src/bad.py")
    (data / "manifest.json").write_text(text)
    result = run(folder, "--license", "MIT", "--data-manifest", data)
    assert result.exit_code == 3 and "is not the one" in result.output


def test_a_damaged_manifest_is_refused(make_package: Callable[..., Path]) -> None:
    folder = make_package()
    package = Package.load(folder)
    assert package.training_data is not None
    blob = folder / "blobs/sha256" / package.training_data.manifest.digest.removeprefix("sha256:")
    os.chmod(blob, 0o644)  # noqa: PTH101
    blob.write_bytes(blob.read_bytes().replace(b"src/app.py", b"src/bad.py"))
    assert run(folder, "--license", "MIT").exit_code == 3


def test_a_statement_about_other_files_is_refused(make_package: Callable[..., Path]) -> None:
    folder = make_package()
    package = json.loads((folder / "package.json").read_text())
    package["variants"][0]["gguf"]["digest"] = "sha256:" + "0" * 64
    (folder / "package.json").write_text(json.dumps(package))
    result = run(folder, "--license", "MIT")
    assert result.exit_code == 3 and "another package" in result.output


@pytest.mark.parametrize("name", sorted(each.name for each in FINISHED.iterdir() if each.is_dir()))
def test_packages_of_earlier_versions_answer_by_digest(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(FINISHED / name, tmp_path / "package")
    result = run(folder, "--license", "BSD-3-Clause", "--license", "MIT", "--repository", "x/y", "--json")
    assert result.exit_code == 0, result.output
    answers = json.loads(result.stdout)["answers"]
    assert answers[0]["kind"] == "repository" and answers[0]["verdict"] == "unknown"
    assert {each["verdict"] for each in answers[1:]} <= {"listed", "not_found", "unknown"}
    assert "listed" in {each["verdict"] for each in answers[1:]}
