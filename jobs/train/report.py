"""The report of a finished run: plots, and ``report.html`` with all of them."""

from __future__ import annotations

from pathlib import Path

from starfreight.base_model import public_name
from starfreight.console import human_count, time_in_words
from starfreight.jobs.report.page import Values, write_page
from starfreight.jobs.train.completions import Completions
from starfreight.jobs.train.plots import charts, read_curves, write_plots
from starfreight.recipe.flat import setting_text
from starfreight.run import Measurement, Outcome, Run

REPORT_FILE = "report.html"

_METHODS = {"qlora": "QLoRA", "lora": "LoRA"}


def write_report(run: Run, folder: Path) -> None:
    """Draw a run's plots and write its page.

    Args:
        run: with its outcome.
        folder: the run directory.
    """
    assert run.outcome is not None
    made = charts(read_curves(folder, run))
    write_plots(made, folder / "plots")
    completions = Completions.load(folder)
    outcome, training = run.outcome, run.recipe.training
    rows = [
        ("steps", f"{outcome.steps:,}"),
        ("adapter", f"of step {outcome.kept_step:,}" if outcome.kept_step else "of the last step"),
        ("tokens", f"{outcome.tokens:,}"),
        ("time", f"{time_in_words(outcome.seconds)} in the last attempt"),
        *_measured("before training", outcome.before),
        *_measured("after training", outcome.after),
    ]
    machine = run.machine
    inputs = [
        (
            "base model",
            public_name(run.base.model) + (f" at {run.base.revision}" if run.base.revision else ""),
        ),
        ("base digest", run.base.digest),
        ("data manifest", run.data_manifest.digest),
        ("recipe", run.recipe_digest),
        ("started", run.started or ""),
        ("machine", f"{machine.processes} x {machine.device}, {machine.attention}" if machine else ""),
        ("versions", ", ".join(f"{name} {number}" for name, number in sorted(run.versions.items()))),
    ]
    settings = [
        (name, setting_text(value))
        for name, value in training.model_dump(mode="json").items()
        if value is not None
    ]
    write_page(
        folder / REPORT_FILE,
        run.id,
        f"{public_name(run.base.model)}, trained by {_METHODS[training.method]}",
        [
            Values("Results", rows),
            Values("Inputs", inputs, folded=True),
            Values("Settings", settings, folded=True),
        ],
        tuple(made.values()),
        completions.shown() if completions is not None else (),
        _tiles(outcome),
    )


def _tiles(outcome: Outcome) -> list[tuple[str, str]]:
    """The headline figures."""
    before, after = outcome.before, outcome.after
    tiles = []
    if before and after:
        tiles.append(("held-out loss", f"{before.loss:.3f} → {after.loss:.3f}"))
        if before.exact_match is not None and after.exact_match is not None:
            tiles.append(("lines completed exactly", f"{before.exact_match:.1%} → {after.exact_match:.1%}"))
    return [*tiles, ("tokens", f"{outcome.tokens:,}"), ("steps", f"{outcome.steps:,}")]


def _measured(when: str, measured: Measurement | None) -> list[tuple[str, str]]:
    if measured is None:
        return []
    exact = (
        ""
        if measured.exact_match is None
        else f"; {measured.exact_match:.1%} of {human_count(measured.completions, 'lines')} completed exactly"
    )
    return [
        (f"held out, {when}", f"{measured.loss:.4f} nats per token over {measured.tokens:,} tokens{exact}")
    ]
