"""``starfreight jobs compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from starfreight.console import Console
from starfreight.options import with_console

if TYPE_CHECKING:
    from starfreight.jobs.report.page import Table


@click.command("compare")
@click.argument("runs", nargs=-1, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="Also write a page with plots to this file.",
)
@with_console
def compare_runs(runs: tuple[Path, ...], html: Path | None, console: Console) -> None:
    """Compare the settings and figures of RUNS, e.g. of a sweep.

    The table shows all settings that differ, and data that differ from those of the first run named: other
    training data, other held-out data, or the same data cut by another seed. Losses on other held-out data
    do not compare. The run with the lowest held-out loss comes first.

    \b
        starfreight jobs compare runs/*
        starfreight jobs compare runs/acme-rank8-* runs/acme-rank16-* --html compared.html
    """
    from starfreight.errors import RecipeError
    from starfreight.jobs.report.compare import compare, table, write_comparison
    from starfreight.run import RUN_FILE

    # A shell expands runs/* to other files and directories, too.
    folders = [folder for folder in runs if (folder / RUN_FILE).exists() or len(runs) <= 2]
    if len(folders) < 2:
        raise RecipeError(
            "At least two runs are needed for a comparison.",
            where=" ".join(map(str, runs)) or "no arguments",
            fix="name two or more: starfreight jobs compare runs/*",
        )
    rows = compare(folders)
    if html is not None:
        write_comparison(folders, rows, html)
        console.note(f"Page written to {html}.")
    console.result({"runs": [row.as_dict() for row in rows]}, _as_text(table(rows)))


def _as_text(shown: Table) -> str:
    """The table as text, with the columns after the first one right-aligned."""
    lines = [list(shown.head), *(list(row) for row in shown.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
