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
    help="Write a page with plots, too.",
)
@with_console
def compare_runs(runs: tuple[Path, ...], html: Path | None, console: Console) -> None:
    """Compare RUNS on their figures: those of a sweep, or any others.

    The table shows the settings that are not the same in all of them. The lowest held-out loss comes first.

    \b
        starfreight jobs compare runs/*
        starfreight jobs compare runs/acme-rank8-* runs/acme-rank16-* --html compared.html
    """
    from starfreight.errors import RecipeError
    from starfreight.jobs.report.compare import compare, table, write_comparison
    from starfreight.run import RUN_FILE

    # A shell's runs/* names what lies beside the runs, too.
    folders = [folder for folder in runs if (folder / RUN_FILE).exists() or len(runs) <= 2]
    if len(folders) < 2:
        raise RecipeError(
            "There are no two runs to compare.", fix="name two or more: starfreight jobs compare runs/*"
        )
    rows = compare(folders)
    if html is not None:
        write_comparison(folders, rows, html)
        console.note(f"Written: {html}")
    console.result({"runs": [row.as_dict() for row in rows]}, _as_text(table(rows)))


def _as_text(shown: Table) -> str:
    """Columns side by side; numbers to the right."""
    lines = [list(shown.head), *(list(row) for row in shown.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
