"""Metrics as text: OpenMetrics 1.0, and the older format of Prometheus (version 0.0.4). Pure.

The specifications: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md and
https://prometheus.io/docs/instrumenting/exposition_formats/. The formats differ in the names of counters in
their ``TYPE`` lines, and in the ``# EOF`` at the end. The textfile collector of node_exporter and the
Pushgateway read the older one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Format = Literal["openmetrics", "prometheus"]
CONTENT_TYPES: Mapping[Format, str] = {
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "prometheus": "text/plain; version=0.0.4; charset=utf-8",
}


@dataclass(frozen=True)
class Family:
    """A metric.

    Attributes:
        name: without ``_total``, which counters get.
        kind: its type.
        help: description, one line.
        unit: the end of its name, if that is a unit.
    """

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    unit: str = ""


@dataclass(frozen=True)
class Sample:
    """A value of a metric."""

    family: Family
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


def exposition(samples: Iterable[Sample], form: Format) -> str:
    """The text of samples: the metrics in the order of their first sample, each as one group.

    Of several samples with the same labels, the last one counts.
    """
    grouped: dict[Family, dict[str, float]] = {}
    for sample in samples:
        labels = ",".join(
            f'{name}="{_escaped(value)}"' for name, value in sorted(sample.labels.items()) if value
        )
        grouped.setdefault(sample.family, {})[f"{{{labels}}}" if labels else ""] = sample.value
    lines = []
    for family, values in grouped.items():
        series = family.name + ("_total" if family.kind == "counter" else "")
        described = series if form == "prometheus" else family.name
        lines.append(f"# HELP {described} {_escaped_help(family.help)}")
        lines.append(f"# TYPE {described} {family.kind}")
        if family.unit and form == "openmetrics":
            lines.append(f"# UNIT {described} {family.unit}")
        lines += [f"{series}{labels} {_number(value)}" for labels, value in values.items()]
    if form == "openmetrics":
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines)


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    # The shortest text that gives the same number again.
    return str(int(value)) if float(value).is_integer() and abs(value) < 1 << 53 else repr(float(value))


def _escaped(value: str) -> str:
    # Lone surrogates, e.g. of file names, are no UTF-8.
    text = value.encode("utf-8", "replace").decode()
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escaped_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
