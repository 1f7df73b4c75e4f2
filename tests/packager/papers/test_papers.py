"""Forms are filled from the record, and what only the provider knows stays open."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_result import run_command

from starfreight.console import Console
from starfreight.packager.papers.compute import INDICATIVE, Compute
from starfreight.packager.papers.facts import Facts, read_facts
from starfreight.packager.papers.html import as_html
from starfreight.packager.papers.markdown import as_markdown
from starfreight.packager.papers.paper import OPEN, fill
from starfreight.packager.papers.table import FORMS, load_form
from starfreight.packager.provenance.known_bases import KnownBase, known_base
from starfreight.packager.registry.open_package import open_package

FINISHED = Path(__file__).parents[2] / "golden/finished-packages"
HOSTILE = {
    "title": "<script>alert(1)</script> | x",
    "intended_use": "[click](javascript:alert(1)) <img src=x>",
    "authors": ["Eve <b>", "| a | b |"],
}


@pytest.fixture
def facts(make_run: Callable[..., Path], tmp_path: Path) -> Callable[..., Facts]:
    """Builds a package and reads its facts."""
    from starfreight.packager.build.build_package import build_package

    def make(**package: Any) -> Facts:
        run = make_run(tmp_path, **package)
        console = Console(quiet=True)
        build_package(run, tmp_path / "package", None, console, skip_loss_check=True)
        with open_package(str(tmp_path / "package"), console) as opened:
            return read_facts(opened)

    return make


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("manifest", ["include", "digest"])
def test_every_field_is_answered_or_open(facts: Callable[..., Facts], name: str, manifest: str) -> None:
    form = load_form(name)
    paper = fill(form, facts(data_manifest=manifest))
    keys = [field.key for section in form.sections for field in section.fields]
    assert len(set(keys)) == len(keys)
    assert set(paper.answers) <= set(keys)
    for section in form.sections:
        for field in section.fields:
            answer = paper.answer(field)
            assert answer.lines or answer.rows or field.provider is not None, field.key


@pytest.mark.parametrize("name", FORMS)
def test_values_of_the_record_are_text_in_every_format(facts: Callable[..., Facts], name: str) -> None:
    paper = fill(load_form(name), facts(card=HOSTILE))
    markdown, page = as_markdown(paper).decode(), as_html(paper).decode()
    assert re.search(r"(?<!\\)[<\[]", markdown) is None
    assert "<script" not in page and "<img" not in page and "alert(1)" in page
    assert markdown.count(f"**{OPEN}:**") == len(paper.open_fields)
    assert page.count(OPEN) == len(paper.open_fields) + 1


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("package", sorted(each.name for each in FINISHED.iterdir() if each.is_dir()))
def test_packages_of_earlier_versions_fill_forms_the_same_each_time_and_in_any_directory(
    tmp_path: Path, name: str, package: str
) -> None:
    folders = [shutil.copytree(FINISHED / package, tmp_path / each) for each in ("package", "another")]
    for kind in ("markdown", "html"):
        results = [
            run_command("package", "papers", folder, "--form", name, "--format", kind) for folder in folders
        ]
        assert results[0].exit_code == 0, results[0].output
        assert results[0].stdout == results[1].stdout and OPEN in results[0].stdout
        assert str(tmp_path) not in results[0].stdout


def test_the_format_follows_the_file(tmp_path: Path) -> None:
    folder = shutil.copytree(next(each for each in FINISHED.iterdir() if each.is_dir()), tmp_path / "package")
    papers = ("package", "papers", folder, "--form", "eu-training-summary", "--out")
    assert run_command(*papers, tmp_path / "summary.html").exit_code == 0
    assert (tmp_path / "summary.html").read_text().startswith("<!doctype html>")
    result = run_command(*papers, tmp_path / "summary.md", "--json")
    assert (tmp_path / "summary.md").read_text().startswith("# Public summary")
    assert json.loads(result.stdout)["form"] == "eu-training-summary"
    assert run_command(*papers, tmp_path).exit_code == 2
    assert run_command(*papers, tmp_path / "summary.md" / "file").exit_code == 2
    assert run_command("package", "papers", folder, "--form", "other").exit_code == 2


def test_no_form_is_filled_from_a_record_that_does_not_fit_its_package(tmp_path: Path) -> None:
    folder = shutil.copytree(next(each for each in FINISHED.iterdir() if each.is_dir()), tmp_path / "package")
    record = json.loads((folder / "package.json").read_text())
    record["created"] = "2031-01-01T00:00:00Z"
    (folder / "package.json").write_text(json.dumps(record, indent=2) + "\n")
    out = tmp_path / "summary.md"
    result = run_command("package", "papers", folder, "--form", "eu-training-summary", "--out", out)
    assert result.exit_code == 3 and "package.json determines" in result.stderr and not out.exists()


def base(parameters: int, tokens: int) -> KnownBase:
    return KnownBase("x/y", "Base", "Maker", parameters, tokens, "a source", (), None, None)


@pytest.mark.parametrize(
    ("tokens", "known", "verdict"),
    [
        (None, base(10**10, 10**13), "unknown"),
        (10**9, base(10**10, 10**13), "below"),
        (10**13, base(10**10, 10**13), "above"),
        (3 * 10**12, base(10**10, 10**13), "between"),
        (10**9, None, "below"),
        (10**13, None, "above"),
        (0, None, "below"),
    ],
)
def test_a_third_of_the_bases_compute_decides(
    tokens: int | None, known: KnownBase | None, verdict: str
) -> None:
    compute = Compute(10**10, tokens, known)
    assert compute.verdict == verdict
    text = " ".join(compute.lines())
    assert ("third" in text) == (tokens is not None)


def test_the_estimate_of_a_run_is_4_to_8_operations_per_weight_and_token() -> None:
    compute = Compute(1000, 50, base(2000, 300))
    assert (compute.lower, compute.upper) == (200_000, 400_000)
    assert compute.of_base == 6 * 2000 * 300
    assert "5.6% to 11%" in " ".join(compute.lines())


@pytest.mark.parametrize("size", ["3b", "7b", "15b"])
def test_tuning_starcoder2_with_a_gigabyte_is_far_below_a_third(size: str) -> None:
    known = known_base(f"bigcode/starcoder2-{size}")
    assert known is not None and known.index is not None and known.opt_out is not None
    compute = Compute(known.parameters, 10**9, known)
    assert compute.verdict == "below" and compute.third < INDICATIVE * 4


def test_an_unknown_base_has_no_facts() -> None:
    assert known_base("starcoder2-3b") is None
