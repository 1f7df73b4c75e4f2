"""The suites by name. Nothing is imported before a suite is used."""

from __future__ import annotations

import difflib
import importlib
from types import MappingProxyType

from starfreight.errors import RecipeError
from starfreight.jobs.evaluate.suites.interface import CompletionSuite, MeasuredSuite

_PACKAGE = "starfreight.jobs.evaluate.suites"
_TABLE = {
    "humaneval": ("humaneval:HumanEval", "Python functions to write from their docstrings (HumanEval)"),
    "humaneval-infilling": (
        "infilling:HumanEvalInfilling",
        "lines and spans cut out of HumanEval's solutions; needs a file",
    ),
    "mbpp": ("mbpp:Mbpp", "Python functions to write from a description (MBPP); needs a file"),
    "multipl-e": ("multipl_e:MultiplE", "functions in many languages (MultiPL-E); needs a file"),
    "fim": ("fim:FimSuite", "places cut out of the recipe's held-out files"),
    "repository": (
        "repository:RepositorySuite",
        "held-out places with and without the rest of their repository",
    ),
    "perplexity": ("perplexity:PerplexitySuite", "perplexity of the held-out files, by language"),
    "quantization": (
        "quantization:QuantizationSuite",
        "difference from the model in 16 bits (KL divergence)",
    ),
    "speed": ("speed:SpeedSuite", "tokens per second, time to the first token, memory"),
    "custom": ("custom:CustomTasks", "tasks of your own; needs a directory"),
}
SUITES = MappingProxyType({name: summary for name, (_, summary) in _TABLE.items()})
"""A line for the help about each suite."""


def suite_named(name: str) -> CompletionSuite | MeasuredSuite:
    """A suite.

    Raises:
        RecipeError: no suite has this name.
    """
    check_suite_name(name)
    module, _, type_name = _TABLE[name][0].partition(":")
    suite: CompletionSuite | MeasuredSuite = getattr(
        importlib.import_module(f"{_PACKAGE}.{module}"), type_name
    )()
    return suite


def check_suite_name(name: str, where: str | None = None) -> None:
    """Checks the name of a suite without importing it.

    Raises:
        RecipeError: no suite has this name; names the nearest one.
    """
    if name not in _TABLE:
        near = difflib.get_close_matches(name.lower().replace("_", "-"), _TABLE, n=1, cutoff=0.5)
        raise RecipeError(
            f"There is no suite {name[:80]!r}.",
            where=where,
            fix=f"did you mean {near[0]!r}?" if near else "use one of " + ", ".join(_TABLE),
        )
