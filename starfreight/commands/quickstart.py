"""``starfreight quickstart``."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from starfreight.console import Console, time_in_words
from starfreight.options import with_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starfreight.evaluation import Evaluation

RECIPE = "quickstart.yaml"
PAGE = "comparison.html"

_PREFIX = """from typing import TYPE_CHECKING

from ...utils import _LazyModule
from ...utils.import_utils import define_import_structure


if TYPE_CHECKING:
    from .configuration_granite import *
    """
_SUFFIX = """
else:
    import sys

    _file = globals()["__file__"]
"""


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("quickstart"),
    show_default=True,
    help="Output directory.",
)
@with_console
def quickstart(out: Path, console: Console) -> None:
    """Train, package and try a tiny model on this machine, without GPU or network.

    Tunes the small StarCoder2 shipped with Starfreight to fill in lines of code, using QLoRA. Then merges,
    converts and quantises it, packages it with a digest of every input, evaluates the packaged file beside
    the base model, and lets it fill in a line. Takes two to three minutes on two cores. The model is far too
    small to be useful; it demonstrates the workflow.

    \b
        starfreight quickstart
        starfreight quickstart --out /tmp/demo
    """
    from starfreight.commands.evaluation import load_evaluations
    from starfreight.commands.evaluation_table import evaluations_data
    from starfreight.commands.pipeline import run_pipeline
    from starfreight.directories import refuse_link
    from starfreight.files import write_bytes
    from starfreight.gguf.local_model import LocalModel
    from starfreight.jobs.backends.interface import Location
    from starfreight.jobs.report.models.page import write_page_of
    from starfreight.recipe import load_recipe

    began = time.monotonic()
    for name in (RECIPE, "runs", "packages"):
        refuse_link(out / name, below=out)
    recipe = out / RECIPE
    text = files("starfreight.commands").joinpath("sample", RECIPE).read_bytes()
    if not recipe.exists() or recipe.read_bytes() != text:
        write_bytes(recipe, text)
    (shipped,) = run_pipeline(load_recipe(recipe), Location(out / "runs"), out / "packages", console)

    evaluations = load_evaluations(shipped.evaluations)
    page = out / PAGE
    write_page_of([shipped.run_folder, shipped.package_folder], page, console)

    console.heading("Filling in a line with the quantised model")
    default = shipped.package.default_variant
    gguf = shipped.package_folder / "blobs" / "sha256" / default.gguf.digest.removeprefix("sha256:")
    with LocalModel(gguf, threads=1) as model:
        middle = model.fill(_PREFIX, _SUFFIX, max_tokens=32).text

    outcome = shipped.run.outcome
    assert outcome is not None and outcome.before is not None and outcome.after is not None
    before, after = outcome.before, outcome.after
    seconds = round(time.monotonic() - began, 1)
    plot = shipped.run_folder / "plots" / "loss.png"
    package = shlex.quote(str(shipped.package_folder))
    # In an environment not activated, the short name would not be found.
    program = "starfreight" if shutil.which("starfreight") else sys.argv[0]
    console.result(
        {
            "base": shipped.run.base.model,
            "run": str(shipped.run_folder),
            "package": str(shipped.package_folder),
            "held_out_loss_before": before.loss,
            "held_out_loss_after": after.loss,
            "exact_match_before": before.exact_match,
            "exact_match_after": after.exact_match,
            "completion": {"prefix": _PREFIX, "middle": middle, "suffix": _SUFFIX},
            "loss_plot": str(plot),
            **evaluations_data(evaluations, shipped.evaluations),
            "comparison": str(page),
            "seconds": seconds,
        },
        "\n".join(
            [
                "",
                *("  | " + line for line in f"{_PREFIX}[{middle}]{_SUFFIX.rstrip()}".splitlines()),
                "",
                f"The part in brackets is by the model: {default.quantization}, {default.gguf.size:,} bytes.",
                "",
                "On held-out code             before    after",
                f"  loss, nats per token     {before.loss:8.3f} {after.loss:8.3f}",
                f"  lines completed exactly  {before.exact_match or 0:8.0%} {after.exact_match or 0:8.0%}",
                "",
                "The quantised files          base    tuned",
                *_figure_lines(evaluations),
                "",
                f"Done in {time_in_words(seconds)}. Files:",
                f"  recipe     {recipe}",
                f"  run        {shipped.run_folder}",
                f"  loss plot  {plot}",
                f"  package    {shipped.package_folder}",
                f"  page       {page}",
                "Next:",
                f"  {program} package inspect {package}",
                f"  {program} try {package}",
                f"  {program} init my-model       write a recipe for your own code",
            ]
        ),
    )


def _figure_lines(evaluations: Sequence[Evaluation]) -> list[str]:
    """Lines of a table: figures of the base model and the tuned one."""
    tuned, base = evaluations
    lines = []
    for suite, name, label, form in (
        ("fim", "exact_match", "places filled in exactly", "8.0%"),
        ("fim", "edit_similarity", "similarity to the code", "8.0%"),
        ("perplexity", "perplexity", "perplexity", "8.2f"),
    ):
        results = (each.result(suite) for each in (base, tuned))
        figures = (result.figure(name) if result is not None else None for result in results)
        values = ("-".rjust(8) if figure is None else format(figure.value, form) for figure in figures)
        lines.append(f"  {label.ljust(24)} {' '.join(values)}")
    return lines
