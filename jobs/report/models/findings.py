"""The outcome of a comparison in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from starfreight.console import human_count
from starfreight.jobs.report.models.columns import Column, Group, differences_of, other_vocabularies
from starfreight.jobs.report.models.evaluated import EvaluatedFile, file_label
from starfreight.jobs.report.models.figure_text import p_text
from starfreight.jobs.report.models.pareto import Front
from starfreight.jobs.report.models.significance import PairedTest, Verdict
from starfreight.pages.visible_text import shortened

_MOST_NAMED = 12
_LONGEST_NAME = 48


def findings(
    files: Sequence[EvaluatedFile], verdicts: Mapping[Column, Verdict], front: Front | None
) -> Iterator[str]:
    """The best models, and the differences that are not significant. Models go by their numbers."""
    for column, verdict in verdicts.items():
        name = file_label(files[verdict.best - 1])
        yield _finding(column, verdict, shortened(name, _LONGEST_NAME), len(column.cells) == len(files))
    if front is not None and len(front.whole) > 0:
        if len(front.whole) == len(files):
            yield f"All models are on the Pareto front of {front.objectives}."
        else:
            yield (
                f"On the Pareto front of {front.objectives}: {_numbers(front.whole)}. For each of the "
                "others, one of these is at least as good in everything."
            )


def notes(files: Sequence[EvaluatedFile], groups: Sequence[Group]) -> Iterator[str]:
    """Figures that do not compare, suites that were not run, and problems found in training data."""
    first = {group.suite: group for group in reversed(groups)}
    for group in groups:
        if group.number > 1:
            yield (
                f"{group.title} of {_numbers(group.cells)} does not compare with {first[group.suite].title}: "
                f"{differences_of(group, first[group.suite])}."
            )
        others = other_vocabularies(group)
        if others:
            yield (
                f"{group.title} of {_numbers(others)} is over other tokens, so its figures per token are "
                "left out; bits_per_byte compares."
            )
    for number, file in enumerate(files, 1):
        for suite, reason in file.skipped().items():
            yield f"{suite} was not run with [{number}]: {reason.rstrip('.')}."
    yield from _contaminated(groups)
    yield from _same_files(files)
    unevaluated = [number for number, file in enumerate(files, 1) if not file.measured]
    if unevaluated and len(unevaluated) < len(files):
        yield f"Not evaluated: {_numbers(unevaluated)}."


def _contaminated(groups: Sequence[Group]) -> Iterator[str]:
    """Problems found in training data."""
    for group in groups:
        found: dict[tuple[int, int], list[int]] = {}
        for number, (_, result) in group.cells.items():
            seen = result.contamination
            if seen is not None and seen.found:
                items = max((each.items for each in result.figures if not each.part), default=0)
                found.setdefault((len(seen.found), items), []).append(number)
        for (count, items), numbers in found.items():
            are = "is" if count == 1 else "are"
            # Base models are searched like the model beside them, and were not trained on these data.
            yield (
                f"{count:,} of {human_count(max(count, items), 'problems')} of {group.suite} {are} in "
                f"the training data: figures of {_numbers(numbers)} are too good if the model was trained "
                "on them."
            )


def _same_files(files: Sequence[EvaluatedFile]) -> Iterator[str]:
    """Rows of one GGUF file with different files beside it."""
    rows: dict[str, list[int]] = {}
    for number, file in enumerate(files, 1):
        if file.key[0] and file.key[0].startswith("sha256:"):
            rows.setdefault(file.key[0], []).append(number)
    for numbers in rows.values():
        if len(numbers) > 1:
            yield f"{_numbers(numbers)} are one file with different adapters, templates or parameters."


def _finding(column: Column, verdict: Verdict, name: str, everyone: bool) -> str:
    title, best = column.title, f"[{verdict.best}] {name}"
    tested = [each for each in verdict.tests if each.adjusted is not None]
    better = [each for each in tested if each.significant]
    equal = [each for each in tested if not each.significant]
    untested = [each for each in verdict.tests if each.adjusted is None]
    pieces = []
    if verdict.marked:
        others = "all others" if everyone and len(better) > 1 else _models(better)
        pieces.append(f"{best} is significantly better than {others} ({_largest(better)})")
    else:
        if equal:
            pieces.append(
                f"the difference between {best} and {_models(equal)} is not significant ({_smallest(equal)})"
                if len(equal) == 1
                else f"the differences between {best} and each of {_models(equal)} are not significant "
                f"({_smallest(equal)})"
            )
        if better:
            pieces.append(f"{_models(better)} {'is' if len(better) == 1 else 'are'} significantly worse")
        if untested:
            reasons = dict.fromkeys(each.untested for each in untested if each.untested)
            pieces.append(f"no test of {best} with {_models(untested)}: {'; '.join(reasons)}")
    return f"{title}: {'; '.join(pieces)}."


def _largest(tests: Sequence[PairedTest]) -> str:
    largest = p_text(max(each.adjusted or 0.0 for each in tests))
    return f"p {largest}" if largest.startswith("<") or len(tests) == 1 else f"p ≤ {largest.lstrip('= ')}"


def _smallest(tests: Sequence[PairedTest]) -> str:
    smallest = p_text(min(each.adjusted or 0.0 for each in tests))
    if len(tests) == 1 or smallest == "= 1":
        return f"p {smallest}"  # No p is above 1.
    return f"p ≥ {smallest.lstrip('= ')}"


def _models(tests: Sequence[PairedTest]) -> str:
    return _numbers([each.model for each in tests])


def _numbers(numbers: Sequence[int] | Mapping[int, object]) -> str:
    names = [f"[{number}]" for number in numbers]
    more = len(names) - _MOST_NAMED
    if more > 1:
        return f"{', '.join(names[:_MOST_NAMED])} and {more} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
