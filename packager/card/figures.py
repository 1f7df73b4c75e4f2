"""The card's section with figures, and the hub's ``model-index`` in its front matter.

    card = with_figures(card, evaluations)
    assert without_figures(card) == earlier

The section is a function of the evaluations whose statements its first line names, so that ``package verify``
can make it again. Names and texts in an evaluation may be anybody's: they are escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from starfreight.console import human_count
from starfreight.evaluation import Figure, SuiteResult
from starfreight.evaluation_statement import Role
from starfreight.package import Package
from starfreight.package_evaluations import PackagedEvaluation, PackageEvaluations
from starfreight.packager.card.escape import code, inline
from starfreight.quantization import Quantization

_BEGIN = "<!-- evaluation (form 1) of {digests} -->\n"
"""A change of anything below needs another number, and this form has to stay: ``package verify`` makes the
section of an earlier package again. ``tests/packager/golden/package-evaluated`` pins it."""
_END = "<!-- end of the evaluation -->\n\n"
_BEGINNING = re.compile(r"<!-- evaluation \(form [0-9]{1,4}\) of ((?:sha256:[0-9a-f]{64} )+)-->\n")
_LICENSE = "## License\n"
"""Heading after the section. Nothing below it is Markdown of the user's."""
_INDEX = "model-index: "

_MOST_ROWS = 40
"""Figures of a suite in the card; the statement has all."""
_MOST_METRICS = 20
_MOST_NAMES = 10
_LARGEST = 1 << 62
"""Of a number in the conditions. JSON has integers that no float can hold."""

_Found = tuple[PackagedEvaluation, SuiteResult]
_SOURCES: tuple[Role, ...] = ("model", "F16", "base")


def with_figures(card: bytes, package: Package, evaluations: PackageEvaluations) -> bytes:
    """The card with these evaluations in place of earlier ones.

    Args:
        card: a package's model card.
        package: its record.
        evaluations: all of the package, or those that the card is made of.
    """
    plain = without_figures(card).decode()
    suites = _suites(package, evaluations)
    if not suites:
        return plain.encode()
    digests = sorted({found.statement.digest for columns in suites.values() for _, (found, _) in columns})
    section = _BEGIN.format(digests=" ".join(digests)) + _render(package, suites) + _END
    head, tail = _split(plain)
    return _with_index(head + section + tail, package, evaluations).encode()


def without_figures(card: bytes) -> bytes:
    """The card as it was built. One without figures stays as it is."""
    text = card.decode()
    head, tail = _split(text)
    found = _section(head)
    if found is None:
        return card
    lines = head[: found.start()].split("\n")
    end = _front_matter_end(lines)
    lines = [line for number, line in enumerate(lines) if number >= end or not line.startswith(_INDEX)]
    return ("\n".join(lines) + tail).encode()


def statements_in(card: bytes) -> frozenset[str] | None:
    """Digests of the statements that a card's section is made of; ``None`` without a section."""
    try:
        found = _section(_split(card.decode())[0])
    except UnicodeDecodeError:
        return None
    return frozenset(found[1].split()) if found else None


def _section(head: str) -> re.Match[str] | None:
    """The first line of the section. No value inside it opens a comment."""
    begin = head.rfind("<!-- evaluation (form ")
    return _BEGINNING.match(head, begin) if begin >= 0 and head.endswith(_END) else None


def _split(text: str) -> tuple[str, str]:
    """The card before the license's heading, and from there on."""
    at = text.rfind("\n" + _LICENSE) + 1
    return (text[:at], text[at:]) if at else (text.rstrip("\n") + "\n\n", "")


def _suites(
    package: Package, evaluations: PackageEvaluations
) -> dict[str, list[tuple[tuple[Role, Quantization], _Found]]]:
    """The results that count, by suite: of each variant, then of the reference models."""
    suites: dict[str, list[tuple[tuple[Role, Quantization], _Found]]] = {}
    for role in _SOURCES:
        for variant in package.variants:
            for found in evaluations.results(variant.quantization, role):
                columns = suites.setdefault(found[1].suite, [])
                # One file in 16 bits is the reference of all variants.
                if role != "F16" or all(at[0] != "F16" for at, _ in columns):
                    columns.append(((role, variant.quantization), found))
    return {suite: columns for suite, columns in suites.items() if columns[0][0][0] == "model"}


def _render(package: Package, suites: dict[str, list[tuple[tuple[Role, Quantization], _Found]]]) -> str:
    lines = [
        "## Evaluation",
        "",
        "Of the files in this package, as people run them. Intervals are of 95 %. The attached statements "
        "have every figure and its conditions; they are not signed.",
        "",
    ]
    for suite, columns in suites.items():
        lines += [f"### {inline(suite)}", ""]
        lines += _table(columns)
        lines += ["", *_conditions(columns), ""]
    return "\n".join(lines) + "\n"


def _table(columns: Sequence[tuple[tuple[Role, Quantization], _Found]]) -> Iterator[str]:
    yield "| figure | " + " | ".join(_heading(*at) for at, _ in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    keys = dict.fromkeys(
        (figure.name, figure.part) for _, (_, result) in columns for figure in result.figures
    )
    # Figures of all of the suite first.
    rows = sorted(keys, key=lambda key: key[1] != "")
    for name, part in rows[:_MOST_ROWS]:
        cells = [figure_in_words(result.figure(name, part)) for _, (_, result) in columns]
        yield f"| {_figure_name(name, part)} | " + " | ".join(cells) + " |"
    if len(rows) > _MOST_ROWS:
        yield ""
        yield f"{len(rows) - _MOST_ROWS:,} more figures are in the statement."


def _heading(role: Role, quantization: Quantization) -> str:
    if role == "base":
        return f"base model, {quantization}"
    return "tuned, F16" if role == "F16" else str(quantization)


def _figure_name(name: str, part: str) -> str:
    return inline(f"{name}, {part}" if part else name)


def figure_in_words(figure: Figure | None) -> str:
    """A figure with its interval: ``41.2 % (35.0 to 47.6)``."""
    if figure is None:
        return "-"
    if figure.unit == "bytes" and figure.method == "none":
        return human_count(figure.value, "B")
    value, low, high = (_number(each, figure) for each in (figure.value, figure.low, figure.high))
    unit = " %" if figure.unit == "fraction" else f" {inline(figure.unit)}" if figure.unit else ""
    return f"{value}{unit}" + ("" if figure.method == "none" else f" ({low} to {high})")


def _number(value: float, figure: Figure) -> str:
    return f"{100 * value:.1f}" if figure.unit == "fraction" else f"{value:.4g}"


def _conditions(columns: Sequence[tuple[tuple[Role, Quantization], _Found]]) -> Iterator[str]:
    (_, (packaged, result)), *_ = columns
    evaluation = packaged.evaluation
    words = []
    if result.source is not None:
        license_name = f", {result.source.license}" if result.source.license else ""
        words.append(inline(f"{result.source.count:,} problems of {result.source.name}{license_name}"))
    for key in ("samples", "temperature", "seed"):
        value = result.settings.get(key, evaluation.request.get(key))
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
            words.append(f"{key} {value:g}")
    if evaluation.sandbox is not None:
        words.append(inline(f"sandbox: {evaluation.sandbox}"))
    words.append(f"measured {packaged.ended.date().isoformat()}")
    yield "; ".join(words) + "."
    for at, (_, other) in columns[1:]:
        if _measured_on(other) != _measured_on(result):
            count = f"{other.source.count:,} problems" if other.source else "problems"
            yield ""
            yield f"**{_heading(*at)}: on other problems or with other options ({count}); do not compare.**"
    if result.contamination is not None:
        yield ""
        yield _contamination(result)


def _measured_on(result: SuiteResult) -> tuple[Any, ...]:
    source = result.source.digest if result.source else None
    return source, *(result.settings.get(key) for key in ("limit", "samples", "temperature", "seed"))


def _contamination(result: SuiteResult) -> str:
    contamination = result.contamination
    assert contamination is not None
    found = len(contamination.found)
    of = f"of {result.source.count:,} problems" if result.source else "of the problems"
    method = inline(contamination.method)
    if not found:
        return f"Contamination: none {of} is in the training data ({method})."
    names = ", ".join(f"`{code(name)}`" for name in contamination.found[:_MOST_NAMES])
    more = f" and {found - _MOST_NAMES:,} more" if found > _MOST_NAMES else ""
    hits = f"{found:,} {of} are in the training data"
    return f"**Contamination: {hits}** ({method}): {names}{more}."


def _with_index(card: str, package: Package, evaluations: PackageEvaluations) -> str:
    models = [
        {"name": f"{package.title} {variant.quantization}", "results": results}
        for variant in package.variants
        if (results := list(_index_results(evaluations, variant.quantization)))
    ]
    lines = card.split("\n")
    end = _front_matter_end(lines)
    if not models or not end:
        return card
    # JSON is YAML; on one line, so that it can be taken out again.
    lines.insert(end, _INDEX + json.dumps(models, sort_keys=True))
    return "\n".join(lines)


def _index_results(evaluations: PackageEvaluations, quantization: Quantization) -> Iterator[dict[str, Any]]:
    for _, result in evaluations.results(quantization):
        whole = [figure for figure in result.figures if not figure.part][:_MOST_METRICS]
        if whole and result.source is not None:
            yield {
                "task": {"type": "text-generation"},
                "dataset": {"name": result.source.name, "type": result.suite},
                "metrics": [_metric(figure) for figure in whole],
            }


def _metric(figure: Figure) -> dict[str, Any]:
    return {"type": figure.name, "name": figure.name, "value": figure.value, "verified": False}


def _front_matter_end(lines: Sequence[str]) -> int:
    """Number of the line that ends the front matter; 0 without one."""
    if not lines or lines[0] != "---":
        return 0
    return next((number for number, line in enumerate(lines[1:], 1) if line == "---"), 0)
