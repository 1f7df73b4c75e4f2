"""MultiPL-E: each language by its own tools, and languages without tools by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_properties import ModelProperties, completion_of

from starfreight.errors import InputError
from starfreight.jobs.evaluate.suites.interface import Machinery, Preparation, SkippedSuite
from starfreight.jobs.evaluate.suites.multipl_e import MultiplE

Prepare = Callable[..., Preparation]
Machine = Callable[..., Machinery]

JAVASCRIPT: dict[str, Any] = {
    "name": "HumanEval_53_add",
    "language": "js",
    "prompt": "//Add two numbers\nfunction add(x, y){\n",
    "doctests": "transform",
    "original": "/x/HumanEval_53_add.py",
    "prompt_terminology": "reworded",
    "tests": "const assert = require('node:assert');\n\n\nfunction test() {\n  let candidate = add;\n"
    "  assert.deepEqual(candidate(0, 1),1);\n  assert.deepEqual(candidate(2, 3),5);\n}\n\ntest();",
    "stop_tokens": ["\nfunction ", "\n/*", "\n//", "\nconsole.log"],
}
PYTHON: dict[str, Any] = {
    "name": "HumanEval_53_add",
    "language": "py",
    "prompt": 'def add(x: int, y: int) -> int:\n    """Add two numbers\n    """\n',
    "tests": "def check(candidate):\n    assert candidate(0, 1) == 1\n    assert candidate(2, 3) == 5\n\n"
    "def test_check():\n    check(add)\n\ntest_check()\n",
    "stop_tokens": ["\ndef", "\n#", "\nif", "\nclass"],
}
LUA = {**JAVASCRIPT, "language": "lua"}


def save(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "humaneval.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_languages_are_judged_side_by_side(tmp_path: Path, preparation: Prepare, machinery: Machine) -> None:
    path = save(tmp_path, JAVASCRIPT, PYTHON, LUA)
    prepared = MultiplE().prepare(preparation(file=str(path)))
    assert (
        prepared.settings == {"skipped_languages": {"lua": "programs in this language cannot be run"}}
        or "javascript" in prepared.settings["skipped_languages"]
    )
    scorer = MultiplE().open_scorer(machinery())
    scores = {}
    try:
        for problem in prepared.problems:
            right = "  return x + y;\n}\n" if problem["language"] == "javascript" else "    return x + y\n"
            wrong = right.replace("+", "-")
            scores[problem["id"]] = [
                scorer.score(problem, completion_of(text)) for text in (right, wrong, right, wrong, right)
            ]
    finally:
        scorer.close()
    assert all([each["passed"] for each in samples] == [1, 0, 1, 0, 1] for samples in scores.values())
    measured = MultiplE().summarize(prepared.problems, scores)
    figures = {(figure.name, figure.part): figure for figure in measured.figures}
    assert figures["pass@1", ""].value == pytest.approx(0.6)
    assert figures["pass@5", ""].value == 1
    assert figures["pass@1", ""].problems == 1  # One source problem in two languages.
    if len(scores) == 2:
        assert figures["pass@1", "javascript"].items == figures["pass@1", "python"].items == 1
    request = MultiplE().request(prepared.problems[0], ModelProperties())
    assert request.stop == tuple(JAVASCRIPT["stop_tokens"])


def test_a_language_without_tools_is_left_out_by_name(
    tmp_path: Path, preparation: Prepare, machinery: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    from starfreight.jobs.evaluate.programs import find_toolchain

    find_toolchain.cache_clear()
    try:
        path = save(tmp_path, JAVASCRIPT, PYTHON)
        prepared = MultiplE().prepare(preparation(file=str(path)))
        assert [each["language"] for each in prepared.problems] == ["python"]
        assert prepared.settings == {"skipped_languages": {"javascript": "node is not installed"}}
        with pytest.raises(SkippedSuite, match="javascript: node is not installed; lua: programs"):
            MultiplE().prepare(preparation(file=str(save(tmp_path, JAVASCRIPT, LUA))))
        # Prepared for another machine, which turns out to lack it, too.
        elsewhere = preparation(file=str(save(tmp_path, JAVASCRIPT)), elsewhere=True)
        (problem,) = MultiplE().prepare(elsewhere).problems
        scorer = MultiplE().open_scorer(machinery())
        score = scorer.score(problem, completion_of("}"))
        scorer.close()
        measured = MultiplE().summarize([problem], {problem["id"]: [score]})
        assert measured.figures == []
        assert measured.settings["outcomes"] == {"passed": 0, "skipped: javascript": 1}
        assert measured.settings["left_out_count"] == 1
    finally:
        find_toolchain.cache_clear()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"language": "../js"}, "not a name of a language"),
        ({"language": 3}, "no text at 'language'"),
        ({"stop_tokens": "x"}, "invalid stop_tokens"),
        ({"stop_tokens": [""]}, "invalid stop_tokens"),
        ({"stop_tokens": ["x"] * 99}, "invalid stop_tokens"),
        ({"prompt": "x = 1\n"}, "no function"),
        ({"tests": None}, "no text at 'tests'"),
    ],
)
def test_a_wrong_record_is_refused(
    tmp_path: Path, preparation: Prepare, change: dict[str, Any], words: str
) -> None:
    path = save(tmp_path, {**PYTHON, **change})
    with pytest.raises(InputError, match=words):
        MultiplE().prepare(preparation(file=str(path)))
