"""Inputs of a recipe's suites, checked before the hours of training: held-out texts and files of problems."""

from __future__ import annotations

from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.jobs.evaluate.suites.problem_source import is_hub_address
from starfreight.recipe import Recipe

_OF_HELD_OUT = frozenset({"fim", "repository", "perplexity", "quantization"})
_OF_FILE = frozenset({"humaneval-infilling", "mbpp", "multipl-e", "custom"})


def check_suite_inputs(recipe: Recipe, folder: Path, console: Console) -> None:
    """Check the inputs of the suites of a recipe with ``evaluate``.

    Args:
        recipe: of one variant.
        folder: the directory where its relative paths start.
        console: shows warnings of suites that will be skipped, and of files that are not used.

    Raises:
        RecipeError: no suite can be run.
        InputError: a file of problems is missing.
    """
    assert recipe.evaluate is not None
    skipped = {}
    holds_out = any(data.format != "instruct" and data.held_out > 0 for data in recipe.data)
    for name, choice in recipe.evaluate.suites.items():
        if name in _OF_HELD_OUT and not holds_out:
            skipped[name] = "no source of code in data has held_out"
        elif name in _OF_FILE and not choice.file:
            skipped[name] = "it has no problems of its own; set its `file`"
        elif name in _OF_FILE and choice.file:
            _check_file(name, choice.file, folder)
        elif choice.file:
            console.note(f"Warning: the suite {name} takes no file; {choice.file!r} is not used.")
    if skipped and len(skipped) == len(recipe.evaluate.suites):
        raise RecipeError(
            "No suite can be run.",
            where="key evaluate.suites, "
            + "; ".join(f"{name}: {reason}" for name, reason in skipped.items()),
            fix="supply what they need, or remove evaluate",
        )
    for name, reason in skipped.items():
        console.note(f"Warning: the suite {name} will be skipped: {reason}.")


def _check_file(suite: str, given: str, folder: Path) -> None:
    path = folder / given
    found = path.is_dir() if suite == "custom" else path.exists() or is_hub_address(given)
    if not found:
        raise InputError(
            f"There are no problems at {given!r}.",
            where=f"key evaluate.suites.{suite}.file, looked for at {path}",
            fix="name a directory of tasks"
            if suite == "custom"
            else "name a file, a directory, or a data set of the hub with its commit",
        )
