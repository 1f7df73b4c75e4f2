"""Charts of a run's figures over its steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.jobs.train.metrics import read_metrics
from starfreight.pages.charts import Line, LineChart
from starfreight.run import METRICS_FILE, Run

_LARGEST = 1e300

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curves:
    """The figures in a run's ``metrics.jsonl``, as points over the steps.

    Attributes:
        figures: by name: ``loss``, ``learning_rate``, ``tokens_per_second``, ``memory``, ``gradient_norm``.
        held_out: the held-out loss, including those before and after training.
    """

    figures: Mapping[str, Points]
    held_out: Points


def read_curves(folder: Path, run: Run) -> Curves:
    """The figures of a run so far.

    Args:
        folder: the run directory.
        run: its record.
    """
    figures: dict[str, list[tuple[float, float]]] = {}
    held_out: list[tuple[float, float]] = []
    for row in read_metrics(folder / METRICS_FILE):
        for name, value in row.items():
            # The bound, because a larger whole number does not fit a float.
            if name == "step" or not isinstance(value, int | float) or not -_LARGEST < value < _LARGEST:
                continue
            if name == "held_out_loss":
                held_out.append((row["step"], value))
            else:
                figures.setdefault(name, []).append((row["step"], value))
    outcome = run.outcome
    if outcome and outcome.before and outcome.after:
        last = outcome.kept_step or outcome.steps
        others = [point for point in held_out if point[0] != last]
        held_out = sorted([(0, outcome.before.loss), *others, (last, outcome.after.loss)])
    return Curves(figures, held_out)


def charts(curves: Curves) -> dict[str, LineChart]:
    """The charts of a run by the names of their files, without the suffix.

    The loss comes first; a chart without figures is left out.
    """
    made = {"loss": _loss(curves)}
    for stem, title, name, unit, scale in (
        ("learning_rate", "Learning rate", "learning_rate", "learning rate", 1.0),
        ("throughput", "Throughput", "tokens_per_second", "tokens per second", 1.0),
        ("memory", "Memory", "memory", "GB", 1e9),
        ("gradient_norm", "Gradient norm", "gradient_norm", "norm before clipping", 1.0),
    ):
        points = curves.figures.get(name)
        if points:
            line = Line(title.lower(), [(step, value / scale) for step, value in points])
            made[stem] = LineChart(title, "step", unit, [line], zero=True)
    return made


def write_plots(made: Mapping[str, LineChart], folder: Path) -> None:
    """Write charts as PNG files, e.g. ``loss.png``, into a directory of a run."""
    from starfreight.pages.pictures import save_chart

    for stem, chart in made.items():
        save_chart(chart, folder / f"{stem}.png", below=folder.parent)


def _loss(curves: Curves) -> LineChart:
    trained = curves.figures.get("loss", ())
    lines = [
        Line("training, each step", trained, colour=None),
        Line("training, smoothed", smoothed_points(trained)),
        Line("held out", curves.held_out, colour=1, dots=True),
    ]
    return LineChart("Loss", "step", "nats per token", [line for line in lines if line.points])


def smoothed_points(points: Points) -> Points:
    """Points with their values smoothed."""
    values = smoothed([value for _, value in points])
    return [(step, value) for (step, _), value in zip(points, values, strict=True)]


def smoothed(values: Sequence[float], keep: float = 0.95) -> list[float]:
    """The exponential moving average, corrected for its start at zero."""
    averages, average, weight = [], 0.0, 1.0
    for value in values:
        average = keep * average + (1 - keep) * value
        weight *= keep
        averages.append(average / (1 - weight))
    return averages
