"""Problems searched in the training data of real runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from small_jobs import CODE

from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.jobs.evaluate.contamination import WITHOUT_FOUND, figures_without, search, search_all
from starfreight.jobs.evaluate.held_out import find_held_out
from starfreight.jobs.evaluate.suites.fim import FimSuite
from starfreight.jobs.evaluate.suites.interface import Preparation, Problem, SuiteOptions
from starfreight.jobs.evaluate.suites.repository import RepositorySuite
from starfreight.run import DATA_MANIFEST, INPUTS_FILE, Inputs, Run

QUIET = Console(quiet=True)
UNSEEN = "How many different rivers with at least seven tributaries flow through exactly three deserts?"
FILTERS = {"near_duplicates": False}


@pytest.fixture
def run(write_job: Callable[..., Path], prepare: Callable[[Path], Path]) -> Path:
    """A run with six files of training data, and two held out."""
    return prepare(write_job())


def trained(run: Path, split: str = "train") -> str:
    """The text of a file of a split."""
    entries = DataManifest.load(run / DATA_MANIFEST).kept(0)
    name = next(entry.path for entry in entries if entry.split == split)
    return (Path(Inputs.load(run).data[0]) / name).read_text()


def place(text: str, expected: str, name: str = "place") -> Problem:
    """The problem of a place in a text."""
    prefix, suffix = text.split(expected, 1)
    return {"id": name, "problem": "0/a.py", "prefix": prefix, "expected": expected, "suffix": suffix}


def found_in(run: Path, *problems: Problem) -> tuple[str, ...]:
    found = search(problems, run, QUIET)
    assert found is not None
    return found.found


def test_a_problem_with_ten_words_of_a_training_file_is_found(run: Path) -> None:
    solution = trained(run).split('"""')[-1]
    problems: Sequence[Problem] = [
        {"id": "seen", "prompt": UNSEEN, "canonical_solution": solution},
        {"id": "unseen", "prompt": UNSEEN, "canonical_solution": "return rivers[7:3]"},
        {"id": "deep", "tests": [{"code": solution.upper().replace(" ", "\n\t")}]},
        {"id": solution, "path": solution, "language": solution},
    ]
    found = search(problems, run, QUIET)
    assert found is not None
    assert found.found == ("deep", "seen")
    assert found.searched == 6
    assert found.data_manifest == Run.load(run).data_manifest.digest
    assert "10 words in 6 training texts" in found.method


def test_held_out_files_are_not_training_data(run: Path) -> None:
    text = trained(run, "held_out")
    number = text.split("def total_")[1].split("(")[0]
    unlike = f"def total_{number}(basket, discount=0.{number}):"
    assert found_in(run, place(text, unlike)) == ()
    assert found_in(run, {"id": "of training", "text": trained(run)}) == ("of training",)


def test_boilerplate_of_many_problems_is_no_hit(run: Path) -> None:
    shared = trained(run)
    problems = [{"id": str(number), "text": shared} for number in range(10)]
    assert len(found_in(run, *problems)) == 10
    assert found_in(run, *problems, {"id": "10", "text": shared}) == ()
    # Parts of one source problem are one.
    parts = [{"id": str(number), "problem": "one", "text": shared} for number in range(30)]
    assert len(found_in(run, *parts)) == 30


def test_a_row_of_numbers_is_no_hit(write_job: Callable[..., Path], prepare: Callable[[Path], Path]) -> None:
    recipe = write_job()
    counting = "NUMBERS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]\n"
    for path in (recipe.parent / "code").iterdir():
        path.write_text(counting + path.read_text())
    run = prepare(recipe)
    assert found_in(run, {"id": "counts", "tests": counting.replace("NUMBERS", "x")}) == ()
    assert found_in(run, {"id": "seen", "tests": counting + trained(run).split("\n", 1)[1]}) == ("seen",)


def test_only_words_at_the_completion_of_a_place_count(run: Path) -> None:
    text = trained(run)
    new = "    rivers = deserts(seven, tributaries)\n"
    begin, end = text.split("    result = 0\n")
    assert found_in(run, place(begin + new + end, new.strip())) == ()
    assert found_in(run, place(begin + new * 4 + "    result = 0\n" + new * 4 + end, "result = 0")) == ()
    same = "        result += PRICES[name] * count\n"
    assert found_in(run, place(new * 30 + "".join(text.partition("    for name")[1:]), same.strip())) == (
        "place",
    )


@pytest.mark.parametrize("cut", ["esul", "LES[na", "ICES[name] * co"])
def test_a_place_may_begin_and_end_within_a_word(run: Path, cut: str) -> None:
    text = trained(run).replace("PRICES", "PRICLES") if "LES" in cut else trained(run)
    seen = "LES" not in cut
    # Another file with the same lines.
    assert found_in(run, place("# Another.\n" + text, cut)) == (("place",) if seen else ())


def test_a_whole_file_is_found_by_its_digest_without_the_data(run: Path) -> None:
    text = trained(run)
    shutil.rmtree(Inputs.load(run).data[0])
    problem = place(text, "result = 0")
    assert found_in(run, problem, place(text + "\n", "result = 0", "changed")) == ("place",)
    found = search([problem], run, QUIET)
    assert found is not None
    assert found.searched == 0
    assert "6 training texts are not on this machine" in found.method
    (run / INPUTS_FILE).unlink()
    assert found_in(run, problem) == ("place",)


def test_a_byte_order_mark_does_not_hide_a_file(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path]
) -> None:
    recipe = write_job()
    for path in (recipe.parent / "code").iterdir():
        path.write_text("\ufeff" + path.read_text().replace("\n", "\r\n"), newline="")
    run = prepare(recipe)
    text = CODE.format(number=0).replace("\n", "\r\n")
    problems = [
        place(CODE.format(number=each).replace("\n", "\r\n"), "result = 0", str(each)) for each in range(8)
    ]
    shutil.rmtree(Inputs.load(run).data[0])
    assert len(found_in(run, *problems)) == 6
    assert found_in(run, place(text.replace("\r", ""), "result = 0")) == ()


def test_a_file_cut_for_a_problem_is_found_by_its_digest_however_long_it_is(
    run: Path, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/basket.py").write_text(trained(run))
    held_out = find_held_out(run, tmp_path / "copy", QUIET)
    options = SuiteOptions(limit=6)
    problems = FimSuite().prepare(Preparation(tmp_path, options, lambda: held_out, QUIET)).problems
    assert all(len(each["prefix"]) + len(each["suffix"]) <= 128 for each in problems)
    shutil.rmtree(Inputs.load(run).data[0])
    assert len(found_in(run, *problems)) == 6


def test_changed_files_are_not_searched(run: Path) -> None:
    text = trained(run)
    for path in Path(Inputs.load(run).data[0]).iterdir():
        path.write_text(path.read_text() + "# changed\n")
    found = search([{"id": "seen", "text": text}], run, QUIET)
    assert found is not None
    assert (found.searched, found.found) == (0, ())
    assert "6 training texts are not on this machine" in found.method


def test_instructions_are_searched_too(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path]
) -> None:
    source = {
        "source": "./pairs.jsonl",
        "format": "instruct",
        "license": "MIT",
        "filters": FILTERS,
        "held_out": 0.1,
    }
    recipe = write_job(data=source)
    records = [
        {"prompt": f"Sum the prices of basket {number}", "response": CODE.format(number=number)}
        for number in range(20)
    ]
    (recipe.parent / "pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    found = found_in(
        prepare(recipe), {"id": "seen", "text": CODE.format(number=3)}, {"id": "new", "text": UNSEEN}
    )
    assert found == ("seen",)


def test_sets_that_the_recipe_removed_are_named(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path]
) -> None:
    source = {
        "source": "./code",
        "license": "MIT",
        "held_out": 0.25,
        "filters": {**FILTERS, "evaluation_sets": ["sets/rivers.jsonl"]},
    }
    recipe = write_job(data=source)
    (recipe.parent / "sets").mkdir()
    (recipe.parent / "sets/rivers.jsonl").write_text(json.dumps({"prompt": UNSEEN}) + "\n")
    found = search([{"id": "rivers", "text": UNSEEN}], prepare(recipe), QUIET)
    assert found is not None
    assert found.found == ()
    assert found.method.endswith("evaluation sets already removed from the data: rivers.jsonl")


def test_all_suites_are_searched_in_one_pass_and_kept_apart(run: Path) -> None:
    text = trained(run)
    suites: Mapping[str, Sequence[Problem]] = {
        "one": [{"id": "a", "text": text}],
        "two": [{"id": "a", "text": UNSEEN}],
        "none": [],
    }
    found = search_all(suites, run, QUIET)
    assert {name: each.found for name, each in found.items()} == {"one": ("a",), "two": ()}


def test_without_a_run_or_with_a_damaged_one_nothing_is_searched(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = [{"id": "a", "text": UNSEEN}]
    assert search(problems, None, QUIET) is None
    (run / DATA_MANIFEST).write_bytes(b"{}")
    assert search(problems, run, Console()) is None
    assert "not searched in the training data: The data manifest has changed" in capsys.readouterr().err


@pytest.mark.parametrize("suite", [FimSuite(), RepositorySuite()], ids=["fim", "repository"])
def test_figures_are_given_without_the_problems_found(run: Path, suite: Any, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "basket_seen.py").write_text(trained(run))
    for number in range(4):
        (folder / f"rivers_{number}.py").write_text(
            f"import basket_seen\n\ndef rivers_{number}(desert):\n    return desert.flow({number}) + river\n"
        )
    (folder / "use.py").write_text("import rivers_1\n" + trained(run).replace("result", "rivers"))
    held_out = find_held_out(run, folder, QUIET)
    problems = list(suite.prepare(Preparation(tmp_path, SuiteOptions(), lambda: held_out, QUIET)).problems)
    found = search(problems, run, QUIET)
    assert found is not None
    items = {each.get("item", each["id"]) for each in problems}
    assert 0 < len(found.found) < len(items)
    assert set(found.found) <= items
    scored: dict[str, list[Mapping[str, float]]] = {
        each["id"]: [
            {"exact_match": float(each.get("item", each["id"]) in found.found), "edit_similarity": 0.5}
        ]
        for each in problems
    }
    (without, *_) = figures_without(suite, problems, scored, found)
    assert (without.name, without.part, without.value) == ("exact_match", WITHOUT_FOUND, 0.0)
    assert without.items == len(items) - len(found.found)
    assert suite.summarize(problems, scored).figures[0].value > 0
    none = found.model_copy(update={"found": ()})
    assert figures_without(suite, problems, scored, none) == ()
    assert figures_without(suite, problems, scored, None) == ()
    every = found.model_copy(update={"found": tuple(items)})
    assert figures_without(suite, problems, scored, every) == ()
