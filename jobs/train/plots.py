"""Plots of a run's figures over its steps, 960 x 540 pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from starfreight.files import atomic_write
from starfreight.jobs.train.metrics import read_metrics
from starfreight.run import METRICS_FILE, Run

_BLUE, _PALE, _RED = "#2f5d9b", "#b8c4d6", "#c8553d"

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


def write_plots(curves: Curves, folder: Path) -> dict[str, Path]:
    """Write ``loss.png`` and, where figures exist, ``learning_rate.png``, ``throughput.png``, ``memory.png``
    and ``gradient_norm.png``.

    Returns:
        The plots by title.
    """
    drawn: dict[str, tuple[str, Callable[[Any], None]]] = {"Loss": ("loss", partial(_loss, curves=curves))}
    for title, stem, name, unit, scale in (
        ("Learning rate", "learning_rate", "learning_rate", "learning rate", 1.0),
        ("Throughput", "throughput", "tokens_per_second", "tokens per second", 1.0),
        ("Memory", "memory", "memory", "GiB", 2.0**30),
        ("Gradient norm", "gradient_norm", "gradient_norm", "norm before clipping", 1.0),
    ):
        points = curves.figures.get(name)
        if points:
            drawn[title] = (stem, partial(_line, points=points, unit=unit, scale=scale))
    pictures = {}
    for title, (stem, draw) in drawn.items():
        pictures[title] = folder / f"{stem}.png"
        save_plot(draw, pictures[title], below=folder.parent)
    return pictures


def save_plot(draw: Callable[[Any], None], picture: Path, below: Path | None = None) -> None:
    """Draw one plot over steps and save it as PNG.

    Args:
        draw: called with matplotlib's axes.
        picture: path of the PNG.
        below: as for :func:`starfreight.files.atomic_write`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 5.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes)
    axes.set(xlabel="step", xlim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    with atomic_write(picture, below) as stream:
        figure.savefig(stream, format="png", metadata={"Software": "Starfreight"})


def _loss(axes: Any, curves: Curves) -> None:
    trained = curves.figures.get("loss", ())
    steps = [step for step, _ in trained]
    losses = [loss for _, loss in trained]
    axes.plot(steps, losses, color=_PALE, linewidth=0.8, label="training, each step")
    axes.plot(steps, smoothed(losses), color=_BLUE, linewidth=2, label="training, smoothed")
    if curves.held_out:
        axes.plot(*zip(*curves.held_out, strict=True), "o-", color=_RED, label="held out")
        for (step, loss), shift in zip((curves.held_out[0], curves.held_out[-1]), (8, -8), strict=True):
            axes.annotate(
                f"{loss:.2f}", (step, loss), xytext=(shift, 8), textcoords="offset points",
                ha="left" if shift > 0 else "right", color=_RED, weight="bold",
            )  # fmt: skip
    axes.set(ylabel="loss (nats per token)")
    axes.legend(frameon=False)


def _line(axes: Any, points: Points, unit: str, scale: float) -> None:
    axes.plot([step for step, _ in points], [value / scale for _, value in points], color=_BLUE)
    axes.set(ylabel=unit, ylim=(0, None))


def smoothed(values: Sequence[float], keep: float = 0.95) -> list[float]:
    """The exponential moving average, corrected for its start at zero."""
    averages, average, weight = [], 0.0, 1.0
    for value in values:
        average = keep * average + (1 - keep) * value
        weight *= keep
        averages.append(average / (1 - weight))
    return averages
