"""The suites of held-out places: problems, scores and figures, and real models of both token formats."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from starfreight.completion.model_source import ModelSource
from starfreight.console import Console
from starfreight.jobs.evaluate.held_out import find_held_out
from starfreight.jobs.evaluate.models.interface import Completion, Model
from starfreight.jobs.evaluate.suites.fill_figures import FillScorer
from starfreight.jobs.evaluate.suites.fim import FimSuite
from starfreight.jobs.evaluate.suites.interface import (
    HeldOut,
    Preparation,
    Problem,
    SkippedSuite,
    SuiteOptions,
)
from starfreight.jobs.evaluate.suites.repository import RepositorySuite
from starfreight.packager.press import ModelIdentity, PressRequest, press

QUIET = Console(quiet=True)
SUITES = (FimSuite(), RepositorySuite())


def completion_of(text: str) -> Completion:
    return Completion(text, tokens=1, prompt_tokens=1, stop="stop", first_token=None, seconds=0.0)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository of which all files but one use others."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for number in range(12):
        (folder / f"price_{number}.py").write_text(
            f"from store import currency_{number}\n\n\ndef price_{number}(count):\n"
            f"    total = count * {number + 3}\n    return f'{{total}} {{currency_{number}}}'\n"
        )
    (folder / "store.py").write_text("".join(f"currency_{number} = 'EUR{number}'\n" for number in range(12)))
    return folder


def preparation(folder: Path, **options: int) -> Preparation:
    held_out = find_held_out(None, folder, QUIET)
    return Preparation(folder, SuiteOptions(**options), lambda: held_out, QUIET)  # type: ignore[arg-type]


def scored_by(
    problems: list[Problem], complete: Callable[[Problem], str]
) -> dict[str, list[Mapping[str, float]]]:
    scorer = FillScorer()
    return {each["id"]: [scorer.score(each, completion_of(complete(each)))] for each in problems}


def test_prefix_expected_and_suffix_are_the_file(shop: Path) -> None:
    prepared = FimSuite().prepare(preparation(shop))
    assert len(prepared.problems) > 60
    for problem in prepared.problems:
        text = (shop / problem["path"]).read_text()
        assert problem["prefix"] + problem["expected"] + problem["suffix"] == text
        assert problem["problem"] == f"0/{problem['path']}"
        assert problem["language"] == "Python"
    assert prepared.settings["places"] == len(prepared.problems)
    assert sum(prepared.settings["kinds"].values()) == len(prepared.problems)


def test_the_limit_is_kept_and_the_seed_chooses(shop: Path) -> None:
    fim, repository = SUITES
    chosen = [each["id"] for each in fim.prepare(preparation(shop, limit=9)).problems]
    assert len(chosen) == 9
    assert chosen == [each["id"] for each in fim.prepare(preparation(shop, limit=9)).problems]
    assert chosen != [each["id"] for each in fim.prepare(preparation(shop, limit=9, seed=1)).problems]
    assert len(repository.prepare(preparation(shop, limit=9)).problems) == 8
    assert len(FimSuite().prepare(preparation(shop)).problems) <= 200


@pytest.mark.parametrize(("window", "characters"), [(128, 256), (1024, 4000), (16_384, 4000), (None, 4000)])
def test_the_text_around_a_place_is_a_short_training_sequence_or_what_editors_send(
    tmp_path: Path, window: int | None, characters: int
) -> None:
    (tmp_path / "long.py").write_text("".join(f"value_{number} = {number}\n" for number in range(2_000)))
    held_out = dataclasses.replace(find_held_out(None, tmp_path, QUIET), window=window)
    prepared = FimSuite().prepare(Preparation(tmp_path, SuiteOptions(limit=50), lambda: held_out, QUIET))
    for problem in prepared.problems:
        assert characters // 2 < len(problem["prefix"]) + len(problem["suffix"]) <= characters
        assert problem["prefix"].startswith("value_")
        assert problem["suffix"].endswith("\n")


def test_right_completions_score_one_and_wrong_ones_less(shop: Path) -> None:
    suite = FimSuite()
    problems = list(suite.prepare(preparation(shop)).problems)
    right = suite.summarize(problems, scored_by(problems, lambda each: each["expected"] + "  \n"))
    assert {(figure.name, figure.value) for figure in right.figures} == {
        ("exact_match", 1.0),
        ("edit_similarity", 1.0),
    }
    wrong = suite.summarize(problems, scored_by(problems, lambda each: each["expected"][:-1] + "~"))
    assert wrong.figures[0].value == 0
    assert all(0 <= figure.value < 1 for figure in wrong.figures)
    empty = suite.summarize(problems, scored_by(problems, lambda each: ""))
    assert {figure.value for figure in empty.figures} == {0.0}


def test_figures_have_parts_and_are_clustered_by_file(shop: Path) -> None:
    (shop / "shop.js").write_text(
        "function price(count) {\n  return count * factor(3);\n}\nshow(price(2));\n"
    )
    suite = FimSuite()
    problems = list(suite.prepare(preparation(shop)).problems)
    measured = suite.summarize(
        problems, scored_by(problems, lambda each: each["expected"] if each["kind"] == "line" else "")
    )
    figures = {(figure.name, figure.part): figure for figure in measured.figures}
    assert figures["exact_match", "line"].value == 1
    assert figures["exact_match", "lines"].value == 0
    assert {"Python", "JavaScript", "line", "lines"} <= {part for _, part in figures}
    whole = figures["exact_match", ""]
    assert (whole.items, whole.problems) == (len(problems), 14)
    assert whole.low < whole.value < whole.high
    assert measured.problems == {each["id"]: each["problem"] for each in problems}
    assert set(measured.scores["exact_match"]) == {each["id"] for each in problems}


def test_several_samples_count_by_their_mean(shop: Path) -> None:
    suite = FimSuite()
    problems = list(suite.prepare(preparation(shop, limit=4)).problems)
    samples = [{"exact_match": 1.0, "edit_similarity": 1.0}, {"exact_match": 0.0, "edit_similarity": 0.5}]
    scored = {each["id"]: samples for each in problems}
    measured = suite.summarize(problems, scored)
    assert [figure.value for figure in measured.figures if not figure.part] == [0.5, 0.75]
    assert suite.summarize(problems, {}).figures == []


@pytest.mark.parametrize(
    ("expected", "text", "exact"),
    [
        ("x = 1", "x = 1\ny = 2", 1.0),
        ("x = 1", "x = 1\r\ny = 2", 1.0),
        ("x = 1", "\nx = 1", 0.0),
        ("x = 1", "x  = 1", 0.0),
        ("x = 1\ny = 2", "x = 1  \r\ny = 2\n\n", 1.0),
        ("x = 1\ny = 2", "x = 1\n y = 2", 0.0),
        ("x = 1\r\ny = 2", "x = 1\ny = 2", 1.0),
        ("x = 1\ny = 2", "x = 1", 0.0),
    ],
)
def test_one_line_ends_with_the_line_and_white_space_at_ends_does_not_count(
    expected: str, text: str, exact: float
) -> None:
    assert FillScorer().score({"expected": expected}, completion_of(text))["exact_match"] == exact


def test_each_place_of_the_repository_suite_is_completed_with_its_context_and_without(shop: Path) -> None:
    problems = RepositorySuite().prepare(preparation(shop)).problems
    assert {each["path"] for each in problems} == {f"price_{number}.py" for number in range(12)}
    for with_context, without in zip(problems[::2], problems[1::2], strict=True):
        assert with_context["item"] == without["item"]
        assert (with_context["id"], without["id"]) == (
            f"{without['item']}@with",
            f"{without['item']}@without",
        )
        assert "context" not in without
        # The file that it imports comes first, and it is not its own context.
        assert with_context["context"][0]["path"] == "store.py"
        assert with_context["path"] not in {each["path"] for each in with_context["context"]}
        assert {key: without[key] for key in ("prefix", "expected", "suffix")} == {
            key: with_context[key] for key in ("prefix", "expected", "suffix")
        }


def test_context_that_helps_is_a_gain_with_an_interval_and_a_test(shop: Path) -> None:
    suite = RepositorySuite()
    problems = list(suite.prepare(preparation(shop)).problems)
    measured = suite.summarize(
        problems, scored_by(problems, lambda each: each["expected"] if "context" in each else "~")
    )
    figures = {figure.name: figure for figure in measured.figures if not figure.part}
    assert figures["exact_match"].value == 1
    assert figures["exact_match_alone"].value == 0
    gain = figures["exact_match_gain"]
    assert (gain.value, gain.low, gain.high, gain.problems) == (1, 1, 1, 12)
    test = measured.settings["outcomes"]["paired_tests"]["exact_match_gain"]
    assert test["significant"]
    assert test["p"] < 0.01
    assert set(measured.scores["exact_match_gain"]) == {each["item"] for each in problems}
    # A place with one of its completions is left out.
    scored = scored_by(problems, lambda each: "")
    del scored[problems[1]["id"]]
    fewer = suite.summarize(problems, scored)
    assert fewer.figures[0].items == len(problems) // 2 - 1
    same = {figure.name: figure for figure in fewer.figures if not figure.part}["exact_match_gain"]
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_imports_by_path_are_uses_of_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "list.js").write_text(
        "import { total } from './shop-items';\nimport x from 'other';\n\nshow(total(2), x);\n"
    )
    (tmp_path / "shop-items.js").write_text("export function total(count) {\n  return count * 7;\n}\n")
    problems = RepositorySuite().prepare(preparation(tmp_path)).problems
    assert {each["path"] for each in problems} == {"list.js"}
    assert [each["path"] for each in problems[0]["context"]] == ["shop-items.js"]


def test_a_copy_of_the_file_is_no_context(shop: Path) -> None:
    (shop / "old").mkdir()
    for number in range(12):
        (shop / f"old/price_{number}.py").write_text((shop / f"price_{number}.py").read_text())
    for problem in RepositorySuite().prepare(preparation(shop)).problems:
        text = (shop / problem["path"]).read_text()
        assert not any(each["text"] == text for each in problem.get("context", ()))


def test_a_repository_of_one_file_or_of_strangers_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "area.py").write_text("def area(side):\n    return side * side\n")
    with pytest.raises(SkippedSuite, match="uses another file"):
        RepositorySuite().prepare(preparation(tmp_path))
    (tmp_path / "zebra.py").write_text("print('hello')\nprint('world')\n")
    with pytest.raises(SkippedSuite, match="uses another file"):
        RepositorySuite().prepare(preparation(tmp_path))
    assert FimSuite().prepare(preparation(tmp_path)).problems


def test_files_without_a_place_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text("x=1\n")
    with pytest.raises(SkippedSuite, match="no place to cut"):
        FimSuite().prepare(preparation(tmp_path))


def test_what_a_run_lacks_is_the_reason_for_skipping() -> None:
    def held_out() -> HeldOut:
        raise SkippedSuite("there is none")

    for suite in SUITES:
        with pytest.raises(SkippedSuite, match="there is none"):
            suite.prepare(Preparation(Path(), SuiteOptions(), held_out, QUIET))


def test_an_example_is_the_text_next_to_the_place(shop: Path) -> None:
    for suite in SUITES:
        problem = suite.prepare(preparation(shop)).problems[0]
        example = suite.example(problem)
        assert example.expected == problem["expected"]
        assert problem["prefix"].endswith(example.prefix)
        assert example.suffix is not None
        assert problem["suffix"].startswith(example.suffix)


@pytest.fixture(scope="module", params=["starcoder2", "starcoder"])
def model(
    request: pytest.FixtureRequest, bases: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Model:
    """A real model of each token format, with random weights."""
    pytest.importorskip("xllamacpp")
    from starfreight.jobs.evaluate.models.model_files import LocalTarget, ModelFiles
    from starfreight.jobs.evaluate.models.open_model import open_model

    out = tmp_path_factory.mktemp("model")
    asked = PressRequest(bases[request.param], None, ("F16",), out, "t", ModelIdentity("Tiny"))
    gguf = press(asked, QUIET)[0].path
    found = open_model(LocalTarget(gguf, None, ModelFiles.of(ModelSource("tiny", gguf))), slots=1, threads=1)
    request.addfinalizer(found.close)
    return found


@pytest.mark.parametrize("suite", SUITES, ids=["fim", "repository"])
def test_a_real_model_of_either_token_format_completes_all_places(
    model: Model, suite: FimSuite | RepositorySuite, shop: Path
) -> None:
    problems = {each["id"]: each for each in suite.prepare(preparation(shop, limit=6)).problems}
    requests = [dataclasses.replace(suite.request(each, model), most_tokens=8) for each in problems.values()]
    assert all(
        (request.stop == ("\n",)) == ("\n" not in problems[request.id]["expected"]) for request in requests
    )
    scorer = FillScorer()
    scored = {}
    prompts = {}
    for request, completion in model.complete(requests):
        scored[request.id] = [scorer.score(problems[request.id], completion)]
        prompts[request.id] = completion.prompt_tokens
    measured = suite.summarize(list(problems.values()), scored)
    assert measured.figures[0].items == len(problems) // (2 if suite.name == "repository" else 1)
    if suite.name == "repository":
        for name, tokens in prompts.items():
            if name.endswith("@with"):
                assert tokens > prompts[name.replace("@with", "@without")]
