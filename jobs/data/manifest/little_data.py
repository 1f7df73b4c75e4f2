"""Too little data: a filter that leaves out most of a source, or nothing held out.

Such a run trains on something else than its author expects, e.g. on one file of 117 because ``license`` was
forgotten. It is stopped unless the recipe allows little data (``run.allow_little_data``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starfreight.console import human_count
from starfreight.data_manifest import SourceSummary
from starfreight.errors import InputError
from starfreight.jobs.data.filters.license import UNKNOWN_LICENSE
from starfreight.recipe.data import Data

ALLOW = "train on what is left with --allow-little-data"

_MOST = 0.5
"""A source needs a decision if one filter leaves out more than this share of its texts."""

_MOST_OF_A_CHECKOUT = 0.9
"""The same for :data:`_OFTEN_MOST`."""

_OFTEN_MOST = frozenset({"vendored", "generated", "minified"})
"""Filters that leave out most of many checkouts, and rightly so."""

_CHOSEN = frozenset({"exact_duplicates", "held_out", "opt_out", "personal_data"})
"""Filters whose texts are not missed: copies of other texts, and texts that the recipe itself excludes."""

_NO_TEXTS = frozenset({"empty", "binary", "symbolic link"})
"""Reasons of ``unusable`` for files that nobody means to train on, such as images beside the code."""

_OTHER_LICENSE = "another license"
"""Texts left out because of the license that they state."""

_FIXES = {
    "license": "set data[{number}].license to the license of the source, or allow more in "
    "data[{number}].filters.licenses",
    _OTHER_LICENSE: "allow it in data[{number}].filters.licenses, or exclude these files; the license "
    "stated in a file or by its repository comes before data[{number}].license",
    "opt_out": "remove this source, which is on the list in data[{number}].filters.opt_out",
    "vendored": "set data[{number}].filters.vendored: false if the code is your own",
    "generated": "set data[{number}].filters.generated: false",
    "minified": "set data[{number}].filters.minified: false",
    "secrets": "remove the secrets, or set data[{number}].filters.secrets: replace",
    "personal_data": "set data[{number}].filters.personal_data: replace",
    "contamination": "remove this source, or the overlapping set from data[{number}].filters.evaluation_sets",
    "held_out": "remove this source, whose texts are held out of another one",
    "conversation": "convert these records to instructions and answers in text, or name other columns in "
    "data[{number}].columns",
    "exact_duplicates": "remove this source, or set data[{number}].filters.exact_duplicates: false",
    "near_duplicates": "remove this source, or set data[{number}].filters.near_duplicates: false",
}
_FIX_UNUSABLE = "select the files to read with data[{number}].include and data[{number}].exclude"
_FIX_PATH = "correct data[{number}].source"

_KEYS = {
    "conversation": "columns",
    "license": "license",
    "exact_duplicates": "source",
    "held_out": "source",
    "unusable": "include",
}
"""Keys below ``data[N]`` by filter; of any other filter, its own key below ``filters``."""


@dataclass(frozen=True)
class _Share:
    """A filter's part of a source."""

    filter: str
    count: int
    reason: str


def no_text(number: int, data: Data, summary: SourceSummary) -> InputError | None:
    """The error of a source that has no text to train on, if it is one.

    Args:
        number: of the source, from 0.
        data: the source.
        summary: its counts.
    """
    if summary.train.samples:
        return None
    counts = {by: sum(reasons.values()) for by, reasons in summary.left_out.items()}
    if not counts and not summary.held_out.samples:
        chosen = Data(source=data.source)
        patterns = [key for key in ("include", "exclude") if getattr(data, key) != getattr(chosen, key)]
        return InputError(
            "The source has no text to train on: "
            + (f"no file in it is selected by {' and '.join(patterns)}." if patterns else "it is empty."),
            where=f"key data[{number}].{patterns[0] if patterns else 'source'}, {summary.source}",
            fix=" and ".join(f"correct data[{number}].{key}" for key in patterns)
            or _FIX_PATH.format(number=number),
        )
    most = max(counts, key=lambda by: counts[by], default="held_out")
    return InputError(
        f"The source has no text to train on: of {human_count(summary.found, 'texts')} the filters left out "
        f"{_listed(counts)} (most often: {_reason(summary.left_out.get(most, {}))}).",
        where=f"key {_key(number, most)}, {summary.source}",
        fix=_fix(number, most, _reason(summary.left_out.get(most, {}))),
    )


def little_data(sources: Sequence[Data], summaries: Sequence[SourceSummary]) -> InputError | None:
    """The error of a recipe whose data are little, if they are.

    Args:
        sources: of the recipe.
        summaries: their counts.
    """
    for number, summary in enumerate(summaries):
        error = most_left_out(number, summary)
        if error is not None:
            return error
    asked = [number for number, data in enumerate(sources) if data.held_out > 0]
    if asked and not any(summaries[number].held_out.samples for number in asked):
        number = asked[0]
        kept = sum(summaries[each].train.samples for each in asked)
        return InputError(
            f"Nothing can be held out for evaluation: {human_count(kept, 'texts')} to train on, "
            "and at least two are needed.",
            where=f"key data[{number}].held_out, {summaries[number].source}",
            fix=f"add texts, or set data[{number}].held_out: 0 to train without evaluation; or {ALLOW}",
        )
    return None


def most_left_out(number: int, summary: SourceSummary) -> InputError | None:
    """The error of a source of which a filter leaves out most, if one does.

    Args:
        number: of the source, from 0.
        summary: its counts.
    """
    share = _share_left_out(summary)
    if share is None:
        return None
    left = summary.train.samples
    return InputError(
        f"The filter {share.filter} leaves out {share.count:,} of {human_count(_texts(summary), 'texts')} "
        f"(most often: {share.reason}); {left:,} {'is' if left == 1 else 'are'} left to train on.",
        where=f"key {_key(number, share.filter)}, {summary.source}",
        fix=f"{_fix(number, share.filter, share.reason)}; or {ALLOW}",
    )


def counts_left_out(summary: SourceSummary) -> dict[str, int]:
    """Number of texts left out by filter, the most first."""
    counts = {by: sum(reasons.values()) for by, reasons in summary.left_out.items()}
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def _share_left_out(summary: SourceSummary) -> _Share | None:
    """The filter that leaves out most of a source, if there is one."""
    texts = _texts(summary)
    shares = [
        _Share(by, count, _reason(reasons))
        for by, reasons in summary.left_out.items()
        if by not in _CHOSEN
        for reasons in [_of_texts(by, reasons)]
        if (count := sum(reasons.values()))
    ]
    if not shares:
        return None
    largest = max(shares, key=lambda share: share.count)
    limit = _MOST_OF_A_CHECKOUT if largest.filter in _OFTEN_MOST else _MOST
    if largest.count > limit * texts or sum(share.count for share in shares) > _MOST_OF_A_CHECKOUT * texts:
        return largest
    return None


def _texts(summary: SourceSummary) -> int:
    """Number of texts that the recipe's author can expect to be trained on or held out."""
    apart = sum(
        count
        for by, reasons in summary.left_out.items()
        for reason, count in reasons.items()
        if by in _CHOSEN or reason not in _of_texts(by, reasons)
    )
    return summary.found - apart


def _of_texts(by: str, reasons: dict[str, int]) -> dict[str, int]:
    if by != "unusable":
        return reasons
    return {reason: count for reason, count in reasons.items() if reason not in _NO_TEXTS}


def _reason(reasons: dict[str, int]) -> str:
    return max(reasons, key=lambda reason: reasons[reason], default="unknown")


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {by}" for by, count in sorted(counts.items(), key=lambda pair: -pair[1]))


def _key(number: int, by: str) -> str:
    return f"data[{number}].{_KEYS.get(by, f'filters.{by}')}"


def _fix(number: int, by: str, reason: str) -> str:
    if by == "license" and reason != UNKNOWN_LICENSE:
        by = _OTHER_LICENSE
    return _FIXES.get(by, _FIX_UNUSABLE).format(number=number)
