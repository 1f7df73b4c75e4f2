"""The loss over the steps, as a picture."""

from __future__ import annotations

from pathlib import Path

from jobs.train.metrics import read_metrics
from starfreight.files import atomic_write
from starfreight.run import Outcome


def plot_loss(metrics: Path, outcome: Outcome, picture: Path) -> None:
    """Draws the training loss, smoothed and not, and the held-out loss, as a PNG of 960 x 540 pixels.

    Args:
        metrics: a run's ``metrics.jsonl``.
        outcome: has the held-out loss before and after.
        picture: the PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = list(read_metrics(metrics))
    trained = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    held_out = [(row["step"], row["held_out_loss"]) for row in rows if "held_out_loss" in row]
    if outcome.before and outcome.after:
        held_out = [(0, outcome.before.loss), *held_out, (outcome.steps, outcome.after.loss)]

    figure = Figure(figsize=(9.6, 5.4), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps = [step for step, _ in trained]
    losses = [loss for _, loss in trained]
    axes.plot(steps, losses, color="#b8c4d6", linewidth=0.8, label="training, each step")
    axes.plot(steps, _smoothed(losses), color="#2f5d9b", linewidth=2, label="training, smoothed")
    if held_out:
        axes.plot(*zip(*held_out, strict=True), "o-", color="#c8553d", label="held out")
        for (step, loss), shift in zip((held_out[0], held_out[-1]), (8, -8), strict=True):
            axes.annotate(
                f"{loss:.2f}", (step, loss), xytext=(shift, 8), textcoords="offset points",
                ha="left" if shift > 0 else "right", color="#c8553d", weight="bold",
            )  # fmt: skip
    axes.set(xlabel="step", ylabel="loss (nats per token)", xlim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    with atomic_write(picture) as stream:
        figure.savefig(stream, format="png", metadata={"Software": "Starfreight"})


def _smoothed(values: list[float], keep: float = 0.95) -> list[float]:
    """The exponential moving average, corrected for its start at zero."""
    smoothed, average, weight = [], 0.0, 1.0
    for value in values:
        average = keep * average + (1 - keep) * value
        weight *= keep
        smoothed.append(average / (1 - weight))
    return smoothed
