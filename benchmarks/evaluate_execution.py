"""Execution of generated code in the sandbox against evalplus' executor: problems/s on the same completions.

    python -m venv /tmp/evalplus-venv && /tmp/evalplus-venv/bin/pip install evalplus==0.3.1
    python benchmarks/evaluate_execution.py --evalplus-python /tmp/evalplus-venv/bin/python

The completions are HumanEval's 164 reference solutions, as many that are wrong, and a few that never end. The
tests are HumanEval's own; evalplus gets their calls as inputs with the expected results, as its data files
have them. Both get the same number of workers and the same time for a problem. They run in turn, and the
least of several times counts, so that a busy machine slows both. evalplus' executor is not a sandbox.
"""

from __future__ import annotations

import argparse
import copy
import json
import pickle
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from starfreight.console import Console
from starfreight.jobs.evaluate.python_tests import PythonProblem, PythonTests
from starfreight.jobs.evaluate.sandbox.bubblewrap import Bubblewrap
from starfreight.jobs.evaluate.sandbox.interface import Limits, Sandbox
from starfreight.jobs.evaluate.sandbox.landlock import Landlock
from starfreight.jobs.evaluate.suites.humaneval import HumanEval
from starfreight.jobs.evaluate.suites.interface import HeldOut, Preparation, SuiteOptions

SANDBOXES = {"bubblewrap": Bubblewrap, "landlock": Landlock}
WRONG = "    return object()\n"
ENDLESS = "    while True: pass\n"

PEER = """
import json, pickle, sys, time
from concurrent.futures import ProcessPoolExecutor

from evalplus.eval import untrusted_check


def check(work):
    return untrusted_check("humaneval", work["code"], work["inputs"], work["name"], work["expected"], 1e-6,
                           [0.0] * len(work["inputs"]), fast_check=True, min_time_limit=SECONDS)[0] == "pass"


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        works, rounds, workers = pickle.load(file)
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(check, works[:2 * workers]))
        for _ in range(rounds):
            sys.stdin.readline()
            began = time.perf_counter()
            passed = list(pool.map(check, works))
            print(json.dumps([time.perf_counter() - began, passed]), flush=True)
"""


def main() -> None:
    """Compare the executors and print the rates and their ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evalplus-python", type=Path, help="interpreter with evalplus 0.3.1")
    parser.add_argument("--sandbox", choices=SANDBOXES, default="bubblewrap")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--endless", type=int, default=0, help="completions that never end")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for a problem")
    options = parser.parse_args()
    problems = [problem_of(record) for record in humaneval()]
    pairs = [(problem, code) for problem in problems for code in (problem.reference, wrong(problem, WRONG))]
    pairs += [(problem, wrong(problem, ENDLESS)) for problem in problems[: options.endless]]
    sandbox = SANDBOXES[options.sandbox](Limits())
    ours = Ours(sandbox, pairs, options.workers, options.seconds)
    peer = Peer(options.evalplus_python, pairs, options) if options.evalplus_python else None
    best, best_peer = float("inf"), float("inf")
    for _ in range(options.rounds):
        seconds, passed = ours.round()
        best = min(best, seconds)
        print(f"{sandbox.name}: {sum(passed)} of {len(pairs)} pass, {len(pairs) / seconds:.1f} problems/s")
        if peer is not None:
            seconds, passed_there = peer.round()
            best_peer = min(best_peer, seconds)
            differ = sum(a != b for a, b in zip(passed, passed_there, strict=True))
            print(
                f"evalplus: {sum(passed_there)} pass, {len(pairs) / seconds:.1f} problems/s; {differ} differ"
            )
    ours.close()
    if peer is not None:
        print(f"best: {len(pairs) / best:.1f} and {len(pairs) / best_peer:.1f} problems/s, "
              f"{best_peer / best:.2f} times evalplus")  # fmt: skip


def humaneval() -> Any:
    """The problems, as the suite makes them."""

    def held_out() -> HeldOut:
        raise NotImplementedError

    return (
        HumanEval()
        .prepare(Preparation(Path(), SuiteOptions(), held_out, Console(json_output=False)))
        .problems
    )


def problem_of(record: Any) -> PythonProblem:
    """The tests of a problem."""
    return PythonProblem(record["id"], record["name"], record["reference"], record["tests"])


def wrong(problem: PythonProblem, body: str) -> str:
    """A module whose function has another body."""
    return f"def {problem.name}(*arguments):\n{body}"


class Ours:
    """The sandbox with workers."""

    def __init__(
        self, sandbox: Sandbox, pairs: list[tuple[PythonProblem, str]], workers: int, seconds: float
    ) -> None:
        self._pairs, self._tests = pairs, [PythonTests(sandbox, seconds=seconds) for _ in range(workers)]
        self._pool = ThreadPoolExecutor(workers)
        for tests in self._tests:
            tests.run(*pairs[0])

    def round(self) -> tuple[float, list[bool]]:
        """Seconds, and which passed."""
        began = time.perf_counter()
        waiting = iter(range(len(self._pairs)))
        passed = [False] * len(self._pairs)

        def work(tests: PythonTests) -> None:
            for place in waiting:
                passed[place] = tests.run(*self._pairs[place]).passed

        list(self._pool.map(work, self._tests))
        return time.perf_counter() - began, passed

    def close(self) -> None:
        """Ends all boxes."""
        for tests in self._tests:
            tests.close()


class Peer:
    """evalplus in its own interpreter, waiting for its turns."""

    def __init__(self, python: Path, pairs: list[tuple[PythonProblem, str]], options: Any) -> None:
        calls = {problem.id: calls_of(problem) for problem, _ in pairs}
        works = [
            {"code": code, "name": problem.name, "inputs": calls[problem.id][0],
             "expected": calls[problem.id][1]}
            for problem, code in pairs
        ]  # fmt: skip
        with tempfile.NamedTemporaryFile(suffix=".pickle", delete=False) as file:
            pickle.dump((works, options.rounds, options.workers), file)
        with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as program:
            program.write(PEER.replace("SECONDS", str(options.seconds)))
        self._process = subprocess.Popen(
            [str(python), program.name, file.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def round(self) -> tuple[float, list[bool]]:
        """Seconds, and which passed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, passed = json.loads(self._process.stdout.readline())
        return seconds, passed


def calls_of(problem: PythonProblem) -> tuple[list[Any], list[Any]]:
    """Arguments and results of every call of the tests, which are HumanEval's and do no harm."""
    module: dict[str, Any] = {}
    exec(problem.reference, module)
    right, inputs, expected = module[problem.name], [], []

    def record(*arguments: Any) -> Any:
        inputs.append(copy.deepcopy(list(arguments)))
        result = right(*arguments)
        expected.append(copy.deepcopy(result))
        return result

    module[problem.name] = record
    exec(problem.tests, module)
    return inputs, expected


if __name__ == "__main__":
    main()
