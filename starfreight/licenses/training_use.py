"""Licenses of training data: those that forbid training, or sharing the model trained on it.

error = data_refusal({"CC-BY-NC-4.0": 12}, use)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from starfreight.console import human_count, printable
from starfreight.errors import GateError
from starfreight.licenses.expression import evaluate
from starfreight.licenses.license import TrainingUse
from starfreight.licenses.registry import find_license, is_known

_ORDER: tuple[TrainingUse, ...] = get_args(TrainingUse)
_WORD = re.compile(r"[^\s,;:/|&()\[\]\"']+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NEGATIONS = frozenset(("no", "non", "not", "without", "never"))
_TRAINING = frozenset(("ai", "ml", "llm", "llms", "training", "machine", "tdm", "noai", "noml"))
_FILLERS = frozenset(("for", "use", "in", "the", "licensed", "generative", "gen"))

_SHOWN = 5
_LONGEST = 200
_LONGEST_READ = 2000


@dataclass(frozen=True)
class ModelUse:
    """Use of the trained model.

    Attributes:
        license: of the tuned model.
        chosen: true if the recipe chooses it (``package.license``).
        shared: true if the model is to be published.
    """

    license: str
    chosen: bool
    shared: bool


@dataclass(frozen=True)
class DataLicense:
    """A license of training texts.

    Attributes:
        source: of the texts, as in the recipe.
        license: as an SPDX expression, or as written; ``NOASSERTION`` if unknown.
        texts: their number; ``None`` before they are read.
        use: of such texts.
        expression: the license as recorded, which may not be fit to print.
    """

    source: str
    license: str
    texts: int | None
    use: TrainingUse
    expression: str


def training_use(expression: str) -> TrainingUse:
    """Training on texts under a license expression: the mildest choice that it leaves.

    A text that is no valid expression, such as ``CC-BY-NC-4.0, MIT``, is as strict as the strictest license
    in it.
    """
    return evaluate(expression, _use, _strictest, _mildest)


def data_licenses(sources: Iterable[tuple[str, Mapping[str, int | None]]]) -> tuple[DataLicense, ...]:
    """The licenses of sources, each with the number of its texts, fit to print."""
    return tuple(
        DataLicense(_shown(source), _shown(license), texts, training_use(license), license)
        for source, licenses in sources
        for license, texts in licenses.items()
    )


def _shown(text: str) -> str:
    return printable(text[:_LONGEST])


def forbids(data: DataLicense, use: ModelUse) -> str | None:
    """The reason for which a license forbids a use, as the end of "The license ..."; else ``None``."""
    match _refused_as(data, use):
        case "forbidden":
            return "forbids training on these texts"
        case "no-derivatives":
            return "forbids sharing what is made from these texts"
        case "no-permission":
            return "gives no permission: without a license, all rights are reserved"
        case "noncommercial":
            return f"forbids commercial use, which the model's license, {use.license}, allows"
    return None


def _refused_as(data: DataLicense, use: ModelUse) -> TrainingUse | None:
    """The use that a license forbids. All licenses count that no choice of the expression avoids."""

    def refused(name: str) -> TrainingUse | None:
        found = _use(name)
        return found if _is_refused(found, use) else None

    def both(parts: Sequence[TrainingUse | None]) -> TrainingUse | None:
        return _strictest(found) if (found := [each for each in parts if each is not None]) else None

    def either(parts: Sequence[TrainingUse | None]) -> TrainingUse | None:
        found = [each for each in parts if each is not None]
        return _mildest(found) if len(found) == len(parts) else None

    return evaluate(data.expression, refused, both, either)


def _is_refused(found: TrainingUse, use: ModelUse) -> bool:
    if found == "forbidden" or not use.shared:
        return found == "forbidden"
    if found == "no-permission":  # Their owner may share them, and states it by setting the license.
        return not use.chosen
    return found == "no-derivatives" or (found == "noncommercial" and _is_commercial(use))


def data_refusal(data: Iterable[DataLicense], use: ModelUse) -> GateError | None:
    """The error for data whose licenses forbid a use, if there are any."""
    refused = [(each, reason) for each in data if (reason := forbids(each, use)) is not None]
    if not refused:
        return None
    first, reason = refused[0]
    named = ", ".join(dict.fromkeys(f"{each.license} ({each.source})" for each, _ in refused[1:_SHOWN]))
    more = f" So do others: {named}." if named else ""
    count = "" if first.texts is None else f", {human_count(first.texts, 'texts')}"
    return GateError(
        f"The license {first.license} {reason}.{more}",
        where=f"data of {first.source}{count}",
        fix=_fix(_refused_as(first, use)),
    )


def is_noncommercial(expression: str) -> bool:
    """True if a license forbids commercial use."""
    return evaluate(expression, lambda name: not find_license(name).commercial, any, all)


def _is_commercial(use: ModelUse) -> bool:
    """True if the model's license allows commercial use. A custom license in the recipe is its decision."""
    return not evaluate(
        use.license,
        lambda name: not find_license(name).commercial or (use.chosen and not is_known(name)),
        any,
        all,
    )


def _fix(refused: TrainingUse | None) -> str:
    leave_out = (
        "leave them out: remove the license from filters.licenses and license of the source, or name their "
        "files in exclude"
    )
    if refused == "noncommercial":
        return (
            f"{leave_out}; or set package.license to one that forbids commercial use, such as "
            "CC-BY-NC-4.0 or a LicenseRef-... of your own; or train without publishing"
        )
    if refused == "no-permission":
        return f"{leave_out}; or, if they are yours, set package.license; or train without publishing"
    if refused == "no-derivatives":
        return f"{leave_out}; or train without publishing"
    return leave_out


def _strictest(uses: Sequence[TrainingUse]) -> TrainingUse:
    return max(uses, key=_ORDER.index)


def _mildest(uses: Sequence[TrainingUse]) -> TrainingUse:
    return min(uses, key=_ORDER.index)


def _use(name: str) -> TrainingUse:
    if _forbids_by_name(name):
        return "forbidden"
    if is_known(name):
        return find_license(name).training
    words = (each for each in _WORD.findall(name[:_LONGEST_READ]) if is_known(each))
    return _strictest(["unknown", *(find_license(each).training for each in words)])


def _forbids_by_name(name: str) -> bool:
    """True for custom names such as ``LicenseRef-NoAI``, ``LicenseRef-No-ML-Training``, ``NON-AI-MIT``."""
    negated = False
    for word in (part.casefold() for part in _PART.findall(name[:_LONGEST_READ])):
        if word in ("noai", "noml", "nonai", "noaitraining", "notraining"):
            return True
        if negated and word in _TRAINING:
            return True
        negated = word in _NEGATIONS or (negated and word in _FILLERS)
    return False
