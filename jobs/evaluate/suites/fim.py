"""Places cut from held-out files: lines, spans of lines, and nodes of the syntax tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from starfreight.files import sha256_bytes
from starfreight.jobs.evaluate.models.interface import Model, Request
from starfreight.jobs.evaluate.places import Place, choose_places
from starfreight.jobs.evaluate.suites.fill_figures import (
    CONVENTIONS,
    METRICS,
    FillScorer,
    Scored,
    figures_by_part,
    item_values,
    parts_of,
)
from starfreight.jobs.evaluate.suites.interface import (
    Example,
    HeldOutFile,
    Machinery,
    Measured,
    Preparation,
    PreparedSuite,
    Problem,
    Scorer,
    SkippedSuite,
)
from starfreight.jobs.evaluate.suites.shown import shown

DEFAULT_PLACES = 200
_AROUND = 4_000
"""Characters before and after a place, as many as editors send."""
_LONG_SEQUENCE = 1_024
_CHARACTERS = 2
"""Characters of a token, at least: with short training sequences, the text around a place is about one."""
_MOST_TOKENS = {False: 96, True: 192}
"""Length of a completion of one line, and of several."""


class FimSuite:
    """Exact match and edit similarity, in all and by kind of place and language.

    Places of one file depend on each other, so that intervals are clustered by file.
    """

    name = "fim"

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Cuts the places: as many as the user's limit, or 200.

        Raises:
            SkippedSuite: no held-out files, or none with a place to cut.
            InputError: the held-out files cannot be read.
        """
        held_out = preparation.held_out()
        places = cut(held_out.files, preparation.options.limit or DEFAULT_PLACES, preparation)
        return PreparedSuite(
            held_out.name,
            held_out.license,
            [problem_of(place, held_out.window) for place in places],
            place_settings(places, held_out.window),
        )

    def request(self, problem: Problem, model: Model) -> Request:
        """The text around the place.

        Raises:
            SkippedSuite: the model cannot fill in the middle.
        """
        return fill_request(problem, model)

    def open_scorer(self, machinery: Machinery) -> Scorer:
        """Compares texts; nothing is run."""
        return FillScorer()

    def summarize(self, problems: Sequence[Problem], scored: Scored) -> Measured:
        """Means over places, in clusters of files."""
        by_id = {problem["id"]: problem for problem in problems if scored.get(problem["id"])}
        clusters = {item: str(problem["problem"]) for item, problem in by_id.items()}
        parts = parts_of(by_id)
        scores = {
            name: {item: value for item, value in item_values(scored, name).items() if item in by_id}
            for name in METRICS
        }
        figures = [each for name in METRICS for each in figures_by_part(name, scores[name], clusters, parts)]
        return Measured(figures, scores if by_id else {}, problems=clusters)

    def example(self, problem: Problem) -> Example:
        """The text around the place, and the right completion."""
        return shown(problem)


def cut(files: Sequence[HeldOutFile], count: int, preparation: Preparation) -> list[Place]:
    """Chooses places by the user's seed.

    Raises:
        SkippedSuite: there are none, or a library is not installed.
    """
    most = min(count, len(files))
    try:
        with preparation.console.progress("Choosing places", total=most, unit="files") as advance:
            places = choose_places(files, count, preparation.options.seed, advance)
    except ImportError as error:
        raise SkippedSuite(
            f"{error.name or 'tree-sitter'} is not installed: pip install 'starfreight[train]'"
        ) from error
    if not places:
        raise SkippedSuite("the held-out files have no place to cut")
    return places


def problem_of(place: Place, window: int | None) -> dict[str, Any]:
    """The problem of a place.

    Args:
        place: the place.
        window: tokens of a training sequence; the text around the place is as long if that is short, since
            the model has not learned longer ones.
    """
    text = place.file.text
    prefix, suffix = _around(text[: place.start], text[place.end :], _room(window))
    return {
        "id": place.id,
        "problem": place.file.id,
        "kind": place.kind,
        "language": place.file.language,
        "repository": place.file.repository,
        "path": place.file.path,
        "prefix": prefix,
        "suffix": suffix,
        "expected": place.middle,
        "file_digest": sha256_bytes(text.encode("utf-8", "surrogatepass")),
    }


def _room(window: int | None) -> int:
    # The same for all models of use, whose figures are then of the same problems.
    return _AROUND if window is None or window >= _LONG_SEQUENCE else window * _CHARACTERS


def _around(before: str, after: str, room: int) -> tuple[str, str]:
    """Whole lines next to a place: a quarter of the room is the suffix's, more if the prefix is short."""
    for_after = min(len(after), max(room // 4, room - len(before)))
    for_before = min(len(before), room - for_after)
    start = len(before) - for_before
    if start and before[start - 1] != "\n":
        start = before.find("\n", start) + 1 or start
    end = for_after
    if end < len(after):
        end = after.rfind("\n", 0, end) + 1 or end
    return before[start:], after[:end]


def place_settings(places: Sequence[Place], window: int | None) -> dict[str, Any]:
    """For the record: the places, the text around them, and how completions are compared."""
    return {
        "characters_around": _room(window),
        "places": len(places),
        "files": len({place.file.id for place in places}),
        "kinds": dict(sorted(Counter(place.kind for place in places).items())),
        "comparison": CONVENTIONS,
    }


def fill_request(problem: Problem, model: Model) -> Request:
    """The request for a place. One of a single line stops at the line's end, as in editors.

    Raises:
        SkippedSuite: the model cannot fill in the middle.
    """
    if not model.fills:
        advice = getattr(model, "fill_advice", "")
        raise SkippedSuite(f"the model has no fill-in-the-middle tokens{advice}")
    several = "\n" in problem["expected"]
    return Request(
        problem["id"],
        problem["prefix"],
        problem["suffix"],
        stop=() if several else ("\n",),
        most_tokens=_MOST_TOKENS[several],
    )
