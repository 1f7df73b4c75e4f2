"""Tasks of users: the example works, and a wrong task is named before anything is generated."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from model_properties import ModelProperties, completion_of

from starfreight.errors import InputError
from starfreight.jobs.evaluate.suites.custom import CustomTasks
from starfreight.jobs.evaluate.suites.interface import Machinery, Preparation, Problem, SkippedSuite

EXAMPLE = Path(__file__).parents[4] / "examples/evaluation-tasks"
Prepare = Callable[..., Preparation]
Machine = Callable[..., Machinery]
ANSWERS = {
    "slug": '    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))\n',
    "retry-call": 'raise TimeoutError(f"no answer after {attempts} attempts")',
    "sum-command": "    echo $(($1 + $2))",
    "greeting": "Hello</title>\n    ",
}
WRONG = {
    "slug": ("    return title.lower()\n", "failed"),
    "retry-call": ('raise TimeoutError("no answer")', "different"),
    "sum-command": ("    exit 0", "failed"),
    "greeting": ("hello</title>", "missing"),
}


def tasks_of(folder: Path, prepare: Prepare) -> dict[str, Problem]:
    prepared = CustomTasks().prepare(prepare(file=folder.name, folder=folder.parent))
    json.dumps(list(prepared.problems))
    return {problem["id"]: problem for problem in prepared.problems}


def scored(problem: Problem, text: str, machinery: Machinery) -> Mapping[str, float]:
    scorer = CustomTasks().open_scorer(machinery)
    try:
        return scorer.score(problem, completion_of(text))
    finally:
        scorer.close()


def test_the_example_tells_right_from_wrong(preparation: Prepare, machinery: Machine) -> None:
    tasks = tasks_of(EXAMPLE, preparation)
    assert list(tasks) == ["greeting", "retry-call", "slug", "sum-command"]
    scores = {}
    for name, problem in tasks.items():
        request = CustomTasks().request(problem, ModelProperties())
        assert (request.suffix is None) == (name != "retry-call")
        right = scored(problem, ANSWERS[name], machinery())
        assert right["passed"] == 1, (name, right)
        text, reason = WRONG[name]
        wrong = scored(problem, text, machinery())
        assert (wrong["passed"], wrong[reason]) == (0, 1), (name, wrong)
        scores[name] = [right, wrong]
    measured = CustomTasks().summarize(list(tasks.values()), scores)
    figures = {(figure.name, figure.part): figure for figure in measured.figures}
    assert figures["pass@1", ""].value == 0.5
    assert 0.5 < figures["edit_similarity", ""].value < 1
    assert measured.problems == {"retry-call": "client"}
    assert measured.settings["outcomes"] == {"passed": 4, "different": 1, "failed": 2, "missing": 1}


def test_instructions_need_a_model_that_takes_them(
    tmp_path: Path, preparation: Prepare, machinery: Machine
) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "one.yaml").write_text("prompt: Write one(x).\nfunction: one\ntests: assert one(1) == 2\n")
    (problem,) = tasks_of(folder, preparation).values()
    assert CustomTasks().request(problem, ModelProperties(instructs=True)).instruct
    with pytest.raises(SkippedSuite, match="the task one is an instruction"):
        CustomTasks().request(problem, ModelProperties())
    answer = "Yes:\n```python\ndef one(x):\n    return x + 1\n```\n"
    assert scored(problem, answer, machinery())["passed"] == 1


def test_a_pattern_without_end_is_stopped(tmp_path: Path, preparation: Prepare, machinery: Machine) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "one.yaml").write_text("prefix: x\nmatches: ['^(a+)+$']\n")
    (problem,) = tasks_of(folder, preparation).values()
    begin = time.monotonic()
    assert scored(problem, "a" * 60 + "!", machinery(seconds=1.0)) == {"passed": 0, "time": 1}
    assert time.monotonic() - begin < 10


BAD = {
    "unknown key": ("prefixx: a\nexpected: b\n", "unknown key 'prefixx'", "did you mean 'prefix'"),
    "no check": ("prefix: a\n", "needs exactly one of tests, expected", ""),
    "two checks": ("prefix: a\nexpected: b\ncontains: [c]\n", "needs exactly one of tests", ""),
    "no text": ("expected: b\n", "exactly one of prompt and prefix", ""),
    "both texts": ("prompt: a\nprefix: a\nexpected: b\n", "exactly one of prompt and prefix", ""),
    "suffix alone": ("prompt: a\nsuffix: b\nexpected: b\n", "suffix without prefix", ""),
    "both forms": ("prefix: a\nprefix_file: b\nexpected: b\n", "both prefix and prefix_file", ""),
    "number": ("prefix: 3\nexpected: b\n", "'prefix'", "correct that key"),
    "no function": ("prefix: a\ntests: assert f()\n", "tests without function", ""),
    "function alone": ("prefix: a\nexpected: b\nfunction: f\n", "function without tests", ""),
    "bad tests": (
        "prefix: a\nfunction: f\ntests: |\n  assert f()\n  assert f(\n",
        "The tests are not valid Python: '.' was never closed",
        "correct them",
    ),
    "bad helpers": (
        "prefix: a\nfunction: f\ntests: assert f()\nhelpers: def g()\n",
        "not valid Python",
        "correct",
    ),
    "keyword": ("prefix: a\nfunction: class\ntests: assert f()\n", "'class', is not valid in Python", ""),
    "bad pattern": ("prefix: a\nmatches: ['(']\n", "not a regular expression", ""),
    "empty stop": ("prefix: a\nexpected: b\nstop: ['']\n", "'stop.0'", ""),
    "many tokens": ("prefix: a\nexpected: b\nmost_tokens: 9000000\n", "'most_tokens'", ""),
    "list": ("- a\n", "not a mapping", ""),
    "not YAML": ("prefix: [\n", "YAML", ""),
    "tag": ("prefix: !!python/object/apply:os.system ['true']\nexpected: b\n", "tag", ""),
    "parent": ("prefix: a\nexpected_file: ../secret\n", "not a path inside", ""),
    "absolute": ("prefix: a\nexpected_file: /etc/passwd\n", "not a path inside", ""),
    "hidden parent": ("prefix: a\nexpected_file: a/../../secret\n", "not a path inside", ""),
    "missing file": ("prefix: a\nexpected_file: none.txt\n", "does not exist", ""),
    "link": ("prefix: a\nexpected_file: link.txt\n", "symbolic link", ""),
    "link above": ("prefix: a\nexpected_file: linked/secret\n", "symbolic link", ""),
    "pipe": ("prefix: a\nexpected_file: pipe\n", "pipe", ""),
    "binary": ("prefix: a\nexpected_file: binary\n", "not UTF-8", ""),
    "large": ("prefix: a\nexpected_file: large\n", "larger than", ""),
    "directory": ("prefix: a\nexpected_file: sub\n", "not a file", ""),
    "language": ("prefix: a\ntests: b\nlanguage: cobol\n", "Tests in cobol cannot be run", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_task_is_refused(tmp_path: Path, preparation: Prepare, name: str) -> None:
    content, words, fix = BAD[name]
    (tmp_path / "secret").write_text("secret")
    folder = tmp_path / "tasks"
    task = folder / "one"
    (task / "sub").mkdir(parents=True)
    (task / "link.txt").symlink_to(tmp_path / "secret")
    (task / "linked").symlink_to(tmp_path)
    (task / "binary").write_bytes(b"\xff\xfe")
    (task / "large").write_bytes(b"x" * (300 << 10))
    os.mkfifo(task / "pipe")
    (task / "task.yaml").write_text(content)
    with pytest.raises(InputError, match=words) as caught:
        tasks_of(folder, preparation)
    assert "one/task.yaml" in (caught.value.where or "")
    assert fix in (caught.value.fix or "")
    assert caught.value.exit_code == 2


def test_a_directory_of_tasks_is_read_or_refused(tmp_path: Path, preparation: Prepare) -> None:
    folder = tmp_path / "tasks"
    with pytest.raises(SkippedSuite, match="set its `file`"):
        CustomTasks().prepare(preparation())
    with pytest.raises(InputError, match="not a directory"):
        CustomTasks().prepare(preparation(file=str(folder)))
    folder.mkdir()
    with pytest.raises(InputError, match="no tasks"):
        CustomTasks().prepare(preparation(file=str(folder)))
    (folder / "README.md").write_text("about")
    (folder / ".hidden.yaml").write_text("rubbish: [")
    (folder / "one.yaml").write_text("prefix: a\nexpected: b\n")
    assert list(tasks_of(folder, preparation)) == ["one"]
    (folder / "one.json").write_text('{"prefix": "a", "expected": "b"}')
    with pytest.raises(InputError, match="Two tasks have the name 'one'"):
        tasks_of(folder, preparation)
    (folder / "one.json").unlink()
    (folder / "two").mkdir()
    with pytest.raises(InputError, match="The task has no file"):
        tasks_of(folder, preparation)
    (folder / "two/task.json").symlink_to(folder / "one.yaml")
    with pytest.raises(InputError, match="symbolic link"):
        tasks_of(folder, preparation)
    (folder / "two/task.json").unlink()
    (folder / "two").rmdir()
    (folder / "three.yaml").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="symbolic link"):
        tasks_of(folder, preparation)
