"""Whole held-out files as problems, for suites that measure the probability of text."""

from __future__ import annotations

from starfreight.jobs.evaluate.problems import choose_problems
from starfreight.jobs.evaluate.suites.interface import Preparation, PreparedSuite, Problem, SkippedSuite


def prepare_texts(preparation: Preparation, most: int) -> PreparedSuite:
    """The held-out files that are not empty, as problems with ``path``, ``language`` and ``text``.

    Args:
        preparation: finds them.
        most: number of files, a random choice, unless the user sets a limit.

    Raises:
        SkippedSuite: there are none.
    """
    held_out, options = preparation.held_out(), preparation.options
    problems: list[Problem] = [
        {"id": file.id, "path": file.path, "language": file.language, "text": file.text}
        for file in sorted(held_out.files, key=lambda file: file.id)
        if file.text
    ]
    if not problems:
        raise SkippedSuite("all held-out files are empty")
    chosen = choose_problems(problems, options.limit or most, options.seed)
    return PreparedSuite(held_out.name, held_out.license, chosen)
