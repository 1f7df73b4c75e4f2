"""Held-out places completed with and without the rest of their repository.

The context is what editors send (:mod:`starfreight.completion.repository_files`), in the format of training.
Both completions of a place are by the same model, so their difference is the worth of the context.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from starfreight.completion.repository_files import most_related, named_files
from starfreight.evaluation import Figure
from starfreight.jobs.data.import_order import imported_files
from starfreight.jobs.evaluate.held_out.file_choice import rank
from starfreight.jobs.evaluate.models.interface import Context, ContextFile, Model, Request
from starfreight.jobs.evaluate.suites.fill_figures import (
    METRICS,
    FillScorer,
    Scored,
    figures_by_part,
    gain_figure,
    item_values,
    parts_of,
)
from starfreight.jobs.evaluate.suites.fim import DEFAULT_PLACES, cut, fill_request, place_settings, problem_of
from starfreight.jobs.evaluate.suites.interface import (
    Example,
    HeldOut,
    HeldOutFile,
    Machinery,
    Measured,
    Preparation,
    PreparedSuite,
    Problem,
    Scorer,
    SkippedSuite,
)
from starfreight.jobs.evaluate.suites.mean_figure import mean_figure
from starfreight.jobs.evaluate.suites.shown import shown

_WITH, _WITHOUT = "@with", "@without"
_TRIES = 5
"""Files to look at for each that is needed."""
_MOST_CONTEXT = 64_000
"""Characters of all files around a place; a prompt takes those that fit into the model's context."""


class RepositorySuite:
    """Figures with the context, without it (``..._alone``), and their difference (``..._gain``).

    Each place has two problems.
    """

    name = "repository"

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Cuts places from files that use other files of their repository.

        The user's limit counts both completions of a place; by default there are 100 places.

        Raises:
            SkippedSuite: no held-out files, or none that uses other files.
            InputError: the held-out files cannot be read.
        """
        held_out = preparation.held_out()
        count = max(1, (preparation.options.limit or DEFAULT_PLACES) // 2)
        contexts = _contexts(held_out, count, preparation)
        if not contexts:
            raise SkippedSuite("no held-out file uses another file of its repository")
        files = [file for file in held_out.files if file.id in contexts]
        places = cut(files, count, preparation)
        problems: list[dict[str, Any]] = []
        for place in places:
            problem = problem_of(place, held_out.window)
            context = [{"path": path, "text": text} for path, text in contexts[place.file.id]]
            problems.append({**problem, "id": f"{place.id}{_WITH}", "item": place.id, "context": context})
            problems.append({**problem, "id": f"{place.id}{_WITHOUT}", "item": place.id})
        return PreparedSuite(
            held_out.name, held_out.license, problems, place_settings(places, held_out.window)
        )

    def request(self, problem: Problem, model: Model) -> Request:
        """The text around the place, with the other files or without them.

        Raises:
            SkippedSuite: the model cannot fill in the middle, or its prompts hold no other files.
        """
        if not model.repositories:
            raise SkippedSuite("the model's prompts cannot hold other files of the repository")
        request = fill_request(problem, model)
        if "context" not in problem:
            return request
        files = tuple(ContextFile(each["path"], each["text"]) for each in problem["context"])
        context = Context(problem["repository"], problem["path"], files)
        return dataclasses.replace(request, context=context)

    def open_scorer(self, machinery: Machinery) -> Scorer:
        """Compares texts; nothing is run."""
        return FillScorer()

    def summarize(self, problems: Sequence[Problem], scored: Scored) -> Measured:
        """Means over the places with both completions, and their differences, in clusters of files."""
        complete: dict[str, set[str]] = {}
        by_item: dict[str, Problem] = {}
        for problem in problems:
            if scored.get(problem["id"]):
                complete.setdefault(problem["item"], set()).add(problem["id"])
                by_item[problem["item"]] = problem
        by_item = {item: problem for item, problem in by_item.items() if len(complete[item]) == 2}
        clusters = {item: str(problem["problem"]) for item, problem in by_item.items()}
        parts = parts_of(by_item)
        figures: list[Figure | None] = []
        scores: dict[str, dict[str, float]] = {}
        tests: dict[str, Any] = {}
        for name in METRICS:
            values = item_values(scored, name)
            before, after = _of(values, by_item, _WITHOUT), _of(values, by_item, _WITH)
            alone, gain = f"{name}_alone", f"{name}_gain"
            figures += figures_by_part(name, after, clusters, parts)
            figures.append(mean_figure(alone, before, clusters))
            if after:
                scores[name], scores[alone] = after, before
                scores[gain] = {item: after[item] - before[item] for item in after}
            difference = gain_figure(gain, before, after, clusters)
            if difference is not None:
                figures.append(difference[0])
                tests[gain] = difference[1]
        return Measured(
            [figure for figure in figures if figure is not None],
            scores,
            problems=clusters,
            settings={"outcomes": {"paired_tests": tests}} if tests else {},
        )

    def example(self, problem: Problem) -> Example:
        """The text around the place, and the right completion."""
        return shown(problem)


def _of(values: Mapping[str, float], items: Mapping[str, Problem], ending: str) -> dict[str, float]:
    return {item: values[f"{item}{ending}"] for item in items if f"{item}{ending}" in values}


def _contexts(held_out: HeldOut, count: int, preparation: Preparation) -> dict[str, list[tuple[str, str]]]:
    """For up to ``count`` files that use others: those to send, the most related first."""
    seed = preparation.options.seed
    files = sorted(held_out.files, key=lambda file: (rank(seed, file.id), file.id))[: count * _TRIES]
    found: dict[str, list[tuple[str, str]]] = {}
    with preparation.console.progress("Finding related files", total=len(files), unit="files") as advance:
        for file in files:
            advance(1)
            context = _context(file, held_out.others(file.repository))
            if context:
                found[file.id] = context
                if len(found) == count:
                    break
    return found


def _context(file: HeldOutFile, others: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The files to send; empty if the file uses none of them."""
    own = PurePosixPath(file.path)
    texts = {
        path: text
        for path, text in others
        if path != file.path and PurePosixPath(path).suffix == own.suffix and text != file.text
    }
    paths = [PurePosixPath(path) for path in texts]
    listed = [(file.path, file.text), *((path, "") for path in texts)]
    if not named_files(paths, file.text) and not imported_files(listed, 0):
        return []
    chosen, left = [], _MOST_CONTEXT
    for path in most_related(paths, own, file.text):
        text = texts[path.as_posix()]
        if len(text) <= left:
            chosen.append((path.as_posix(), text))
            left -= len(text)
    return chosen
