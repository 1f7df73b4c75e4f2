"""HumanEval-Infilling: lines or spans cut out of HumanEval's solutions, from a file.

Source: Bavarian et al., "Efficient Training of Language Models to Fill in the Middle" (2022),
https://github.com/openai/human-eval-infilling, MIT License.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from starfreight.errors import InputError
from starfreight.jobs.evaluate.python_tests import PythonProblem
from starfreight.jobs.evaluate.suites.interface import Item
from starfreight.jobs.evaluate.suites.problem_file import read_problems

_KEYS = ("task_id", "entry_point", "prompt", "suffix", "canonical_solution", "test")
_ID = re.compile(r"(SingleLine|MultiLine|RandomSpan)(?:Infilling|InfillingLight)?/(HumanEval/\d+)(?:/.*)?")
_MOST_TOKENS = {"SingleLine": 96, "MultiLine": 384, "RandomSpan": 256}


class HumanEvalInfilling:
    """One of the benchmark's four files.

    Args:
        path: ``HumanEval-SingleLineInfilling.jsonl.gz`` or another of the files.

    Raises:
        InputError: not one of these files.
    """

    name = "humaneval-infilling"

    def __init__(self, path: Path) -> None:
        self._records = {}
        items = []
        for record in read_problems(path, _KEYS):
            match = _ID.fullmatch(record["task_id"])
            if match is None:
                raise InputError(
                    f"The problem {record['task_id'][:80]!r} is not one of HumanEval-Infilling.",
                    where=str(path),
                    fix="use one of the files of openai/human-eval-infilling",
                )
            kind, problem = match.groups()
            stop = ("\n",) if kind == "SingleLine" else ()
            name = record["task_id"]
            self._records[name] = record
            items.append(Item(name, problem, record["prompt"], record["suffix"], stop, _MOST_TOKENS[kind]))
        self.items: Sequence[Item] = items

    def tests(self, item: Item) -> PythonProblem:
        """The tests of an item."""
        record, name = self._records[item.id], self._records[item.id]["entry_point"]
        reference = self.program(item, self.reference(item))
        return PythonProblem(item.id, name, reference, f"{record['test']}\ncheck({name})\n")

    def program(self, item: Item, completion: str) -> str:
        """The module to test. A completion of one line ends with the line."""
        if item.stop == ("\n",) and not completion.endswith("\n"):
            completion += "\n"
        return f"{item.prefix}{completion}{item.suffix}"

    def reference(self, item: Item) -> str:
        """The right completion."""
        solution: str = self._records[item.id]["canonical_solution"]
        return solution
