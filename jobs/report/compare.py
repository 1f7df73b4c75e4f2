"""Comparison of runs: differing settings and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starfreight.jobs.report.compared_data import COMPARABLE, DataRelation, read_run_data
from starfreight.pages.charts import Line, LineChart, legend_colours
from starfreight.recipe import Recipe
from starfreight.recipe.flat import flat_keys, setting_text
from starfreight.run import Run

_LARGEST = 1 << 63
"""Bound of counts: larger whole numbers do not fit a float."""


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        head: column names.
        rows: cells, one per column.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_text(self) -> str:
        """The table as text, with the columns after the first one right-aligned."""
        lines = [list(self.head), *(list(row) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if number == 0 else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


@dataclass(frozen=True)
class Compared:
    """Settings and results of one run.

    Attributes:
        run: run id.
        status: ``done``, ``running`` ...
        differs: values of the recipe keys not shared by all runs.
        steps: number of steps.
        held_out_loss: after training, in nats per token; ``None`` if not measured.
        loss_before: held-out loss of the base model.
        exact_match: fraction of held-out lines completed exactly.
        tokens_per_second: average over the run.
        adapter_bytes: size of the adapter.
        data: compared with those of the first run.
        same_held_out: True if the loss is comparable with that of the first run: same held-out texts,
            vocabulary and block length.
    """

    run: str
    status: str
    differs: Mapping[str, Any]
    steps: int | None
    held_out_loss: float | None
    loss_before: float | None
    exact_match: float | None
    tokens_per_second: float | None
    adapter_bytes: int | None
    data: DataRelation
    same_held_out: bool

    def as_dict(self) -> dict[str, Any]:
        """The row for ``--json``."""
        return asdict(self)


def compare(folders: Sequence[Path]) -> tuple[Compared, ...]:
    """Compares runs; the best comes first, runs without figures last.

    Args:
        folders: directories of the runs.

    Raises:
        InputError: one of them is not a run.
    """
    runs = [Run.load(folder) for folder in folders]
    settings = differing([_flat(run.recipe) for run in runs])
    data = [read_run_data(folder, run) for folder, run in zip(folders, runs, strict=True)]
    rows = [
        _row(run, each, found.relation_to(data[0]))
        for run, each, found in zip(runs, settings, data, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: (row.held_out_loss is None, row.held_out_loss or 0.0, row.run)))


def _row(run: Run, differs: Mapping[str, Any], data: DataRelation) -> Compared:
    outcome = run.outcome
    after, before = (outcome.after, outcome.before) if outcome else (None, None)
    return Compared(
        run=run.id,
        status=run.status,
        differs=differs,
        steps=outcome.steps if outcome else None,
        held_out_loss=after.loss if after else None,
        loss_before=before.loss if before else None,
        exact_match=after.exact_match if after else None,
        tokens_per_second=_rate(outcome.tokens, outcome.seconds) if outcome else None,
        adapter_bytes=sum(file.size for file in outcome.adapter) if outcome else None,
        data=data,
        same_held_out=data in COMPARABLE,
    )


def _rate(tokens: int, seconds: float) -> float | None:
    """Tokens per second; ``None`` if the record has no such figures: others can write records, too."""
    return tokens / seconds if 0 <= tokens < _LARGEST and seconds > 0 else None


def differing(settings: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The settings that not all runs share.

    A source of data that only some of them have counts as one setting, its name.

    Args:
        settings: of each run, by key path.
    """
    counts = [len({name.partition(".")[0] for name in each if name.startswith("data[")}) for each in settings]
    shared = min(counts, default=0)
    shortened = []
    for each in settings:
        found = {}
        for name, value in each.items():
            source, _, key = name.partition(".")
            if source.startswith("data[") and int(source[5:-1]) >= shared:
                if key == "source":
                    found[source] = value
            else:
                found[name] = value
        shortened.append(found)
    names = sorted({name for each in shortened for name in each})
    different = [name for name in names if len({str(each.get(name)) for each in shortened}) > 1]
    return [{name: each.get(name) for name in different} for each in shortened]


def _flat(recipe: Recipe) -> dict[str, Any]:
    """Settings with an influence on training, by key path."""
    return flat_keys(recipe.model_dump(mode="json", include={"base", "data", "training"}))


def table(rows: Sequence[Compared]) -> Table:
    """The comparison as a table, one row per run; with a column for the data unless all have the same.

    The figures come before the settings, which may be many: they stay in sight.
    """
    different = list(rows[0].differs) if rows else []
    data = ["data"] if any(row.data != "same data" for row in rows) else []
    head = [
        "run", *data, "steps", "held-out loss", "before", "exact lines", "tokens/s", "adapter", *different,
    ]  # fmt: skip
    return Table(head, [_cells(row, different, with_data=bool(data)) for row in rows])


def _cells(row: Compared, different: Sequence[str], *, with_data: bool) -> list[str]:
    def shown(value: float | None, pattern: str) -> str:
        return "-" if value is None else pattern.format(value)

    count = row.adapter_bytes
    size = count / 1e6 if count is not None and count < _LARGEST else None
    return [
        row.run if row.status == "done" else f"{row.run} ({row.status})",
        *([row.data] if with_data else []),
        shown(row.steps, "{:,}"),
        shown(row.held_out_loss, "{:.4f}"),
        shown(row.loss_before, "{:.4f}"),
        shown(row.exact_match, "{:.1%}"),
        shown(row.tokens_per_second, "{:,.0f}"),
        shown(size, "{:,.1f} MB"),
        *(setting_text(row.differs[name]) for name in different),
    ]


def loss_charts(folders: Sequence[Path], rows: Sequence[Compared]) -> tuple[LineChart, ...]:
    """Charts of the held-out loss and the training loss of all runs, the best runs in colours.

    Args:
        folders: directories of the runs.
        rows: their comparison, the best first.
    """
    from starfreight.jobs.train.plots import read_curves, smoothed_points

    curves = {}
    for folder in folders:
        run = Run.load(folder)
        curves[run.id] = read_curves(folder, run)
    colours = legend_colours([row.run for row in rows])
    names = [*colours][::-1]  # The best ones are drawn over the others.
    held_out = [Line(name, curves[name].held_out, colours[name], dots=True) for name in names]
    trained = [
        Line(name, smoothed_points(curves[name].figures.get("loss", ())), colours[name]) for name in names
    ]
    return tuple(
        LineChart(title, "step", "nats per token", [line for line in lines if line.points])
        for title, lines in (("Held-out loss", held_out), ("Training loss, smoothed", trained))
        if any(line.points for line in lines)
    )
