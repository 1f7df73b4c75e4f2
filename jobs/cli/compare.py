"""``starfreight jobs compare`` and ``starfreight package compare``."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

_PLAIN_WIDTH = 140
"""Characters of a line where standard output is no terminal."""


@click.command("compare")
@click.argument("directories", metavar="DIRECTORY...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Also write a page with charts and completions to this file.",
)
@click.option(
    "--plots",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Also write the charts as PNG files to this directory. Requires matplotlib.",
)
@click.option(
    "--quality",
    metavar="SUITE/FIGURE",
    default=None,
    help="Figure for the Pareto front, e.g. fim/exact_match. [default: the first there is of "
    "humaneval/pass@1, fim/exact_match and perplexity/perplexity]",
)
@click.option(
    "--choose",
    type=click.Choice(["best"]),
    default=None,
    help="Also choose a model by that figure: the smallest file within the interval of the best.",
)
@with_console
def compare_models(
    directories: tuple[Path, ...],
    html: Path | None,
    plots: Path | None,
    quality: str | None,
    choose: str | None,
    console: Console,
) -> None:
    """Compare runs, packages and evaluations, mixed in any order.

    A run brings its package and its evaluations, a package its run and its evaluations. There is a row for
    each model file: each quantization of each package, and each evaluated GGUF file or served model.

    Figures come with 95% intervals. The best one is marked only if it is significantly better than all
    others: paired tests of the items, McNemar's for pass or fail and the bootstrap for the rest, with Holm's
    correction. Figures of other problems or other settings are in columns of their own and never compared.

    Runs are compared by their settings, data and losses; the lowest held-out loss comes first. Losses on
    other held-out data do not compare.

    \b
        starfreight jobs compare runs/*
        starfreight jobs compare runs/acme-rank8-* runs/acme-rank16-* --html compared.html
        starfreight package compare packages/* --quality fim/exact_match --plots plots
        starfreight package compare packages/* --choose best
    """
    from starfreight.errors import RecipeError
    from starfreight.jobs.report.compare import compare, table
    from starfreight.jobs.report.models.choice import choose as choose_model
    from starfreight.jobs.report.models.comparison import compare_models as compare_files
    from starfreight.jobs.report.models.page import make_charts, save_charts, write_comparison
    from starfreight.jobs.report.models.subjects import find_subjects
    from starfreight.jobs.report.models.text import models_text
    from starfreight.pages.pictures import require_matplotlib

    if plots is not None:
        require_matplotlib("option --plots")
    subjects = find_subjects(directories)
    comparison = compare_files(subjects, quality, console)
    if max(len(subjects.runs), len(comparison.files)) < 2:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in comparison.left_out)
        raise RecipeError(
            "There are fewer than two runs or models to compare."
            + (f" Left out: {reasons}" if reasons else ""),
            where=" ".join(map(str, directories))[:500] or "no arguments",
            fix="name two or more runs, packages or evaluations: starfreight jobs compare runs/*",
        )
    choice = choose_model(comparison) if choose else None
    rows = compare(subjects.runs) if subjects.runs else ()
    if html is not None or plots is not None:
        charts = make_charts(comparison, subjects.runs, rows)
        if html is not None:
            write_comparison(html, comparison, subjects.runs, rows, charts)
            console.note(f"Page written to {html}.")
        if plots is not None:
            count = len(save_charts(charts, plots))
            console.note(f"{human_count(count, 'charts')} written to {plots}.")
    width = shutil.get_terminal_size().columns if console.interactive else _PLAIN_WIDTH
    texts = [
        table(rows).as_text() if len(rows) > 1 else "",
        models_text(comparison, width),
        f"Chosen: {choice.reason}" if choice else "",
    ]
    data = {
        "runs": [row.as_dict() for row in rows],
        **comparison.as_dict(),
        "choice": choice.as_dict() if choice else None,
    }
    console.result(data, "\n\n".join(filter(None, texts)))
