"""Statements with the figures of an evaluation, and the variant of a package that they belong to.

The format is documented in ``docs/evaluation-predicate.md``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from starfreight.evaluation import Evaluation
from starfreight.package import Package, Variant
from starfreight.quantization import Quantization
from starfreight.records import Part
from starfreight.strict_json import strict_loads

STATEMENT = "https://in-toto.io/Statement/v1"
FIGURES = "https://starfreight.dev/predicates/evaluation/v1"
"""Predicate type of figures. Its page is ``docs/evaluation-predicate.md``."""

Role = Literal["model", "base", "F16"]
"""``model``: the packaged file itself. ``base``: the base model in the same quantization. ``F16``: the tuned
model in 16 bits."""


class Subject(Part):
    """A file that a statement is about."""

    name: Annotated[str, Field(max_length=500)]
    digest: Annotated[dict[str, Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=8)]


class FiguresPredicate(Part):
    """The predicate of figures."""

    role: Role
    evaluation: Evaluation


class FiguresStatement(Part):
    """An in-toto statement with figures."""

    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=2)]
    predicate_type: Annotated[
        Literal["https://starfreight.dev/predicates/evaluation/v1"], Field(alias="predicateType")
    ]
    predicate: FiguresPredicate


def parse_figures(data: bytes) -> FiguresStatement:
    """Parse a statement with figures.

    Raises:
        ValueError: it is not one; completes the sentence "The statement ...".
    """
    try:
        strict_loads(data)
        return FiguresStatement.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])[:200]
        raise ValueError(f"is not a statement with figures: {key or 'it'}: {first['msg']}") from None
    except ValueError as error:
        raise ValueError(f"is not valid JSON: {error}") from None


def misfit(package: Package, variant: Variant, statement: FiguresStatement) -> str | None:
    """The reason why an evaluation does not belong to a variant; ``None`` if it does.

    Returns:
        Completion of the sentence "The evaluation ...".
    """
    role, evaluation = statement.predicate.role, statement.predicate.evaluation
    model = evaluation.model
    files = [file for file in (model.gguf, model.adapter) if file is not None]
    if [subject.digest for subject in statement.subject] != [
        {"sha256": file.removeprefix("sha256:")} for file in files
    ]:
        return "is about other files than its statement"
    return evaluation_misfit(package, variant, role, evaluation)


def evaluation_misfit(package: Package, variant: Variant, role: Role, evaluation: Evaluation) -> str | None:
    """As :func:`misfit`, for a record alone."""
    model = evaluation.model
    if evaluation.status != "done":
        return f"is not finished: its status is {evaluation.status}"
    try:
        ended_at(evaluation)
    except ValueError:
        return "has no time at which it ended"
    if model.gguf is None:
        return "is of a model behind a server, not of a file"
    adapter = package.adapter.digest if package.adapter else None
    if model.run not in (None, package.run) or (role != "model" and model.run is None):
        return f"is not of the run {package.run}"
    if role == "model":
        expected = {
            "GGUF file": (model.gguf, variant.gguf.digest),
            "adapter": (model.adapter, adapter),
            "template": (model.template, package.template.digest if package.template else None),
            "settings": (model.settings, package.settings.digest if package.settings else None),
        }
        other = next((name for name, (found, wanted) in expected.items() if found != wanted), None)
        return None if other is None else f"was made with another {other} than the package's"
    ggufs = {each.gguf.digest for each in package.variants}
    if role == "base":
        # Beside an adapter, the variant's own file is the base model.
        if model.adapter is not None or (adapter is None and model.gguf in ggufs):
            return "is of the tuned model, not of its base"
        if adapter is not None and model.gguf != variant.gguf.digest:
            return "is of another base model than the variant's"
        if model.quantization != variant.quantization:
            return f"is of a base model in another quantization than {variant.quantization}"
    elif model.quantization != Quantization.F16 or model.adapter != adapter:
        return "is not of the tuned model in 16 bits"
    return None


def ended_at(evaluation: Evaluation) -> datetime:
    """End of an evaluation, in UTC.

    Raises:
        ValueError: it has none, or not a time with an offset.
    """
    found = datetime.fromisoformat(evaluation.ended or "")
    if found.tzinfo is None:
        raise ValueError("it has no offset from UTC")
    try:
        return found.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("it is before the year 1 or after 9999") from error
