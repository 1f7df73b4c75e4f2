"""``starfreight data``: look at what a recipe's data holds."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console


@click.group()
def data() -> None:
    """Look at what a recipe's data holds, and at what is left out."""


@data.command("inspect")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page with the figures and rendered examples, in one file.",
)
@click.option(
    "--examples",
    type=click.IntRange(0, 100),
    default=5,
    show_default=True,
    help="Examples of each source on the page.",
)
@with_console
def inspect_data(recipe: Path, html: Path | None, examples: int, console: Console) -> None:
    """Show what RECIPE's data holds, without training: what goes in, what is left out, and why.

    The data is read and filtered as a run would do it, and nothing is kept. For each source it
    counts files, bytes and tokens by language and license, names a few of the texts that each
    filter leaves out, and tells what is held out to measure with.

    \b
        starfreight data inspect recipe.yaml
        starfreight data inspect recipe.yaml --html data.html    with examples as the model reads them
        starfreight data inspect recipe.yaml --json | jq '.sources[].left_out'

    A filter that leaves out too much is turned off in the recipe, by source:

    \b
        data:
          - source: ./src
            license: MIT                       otherwise what names no license is left out
            filters:
              generated: false
              near_duplicates: false
              licenses: [MIT, LGPL-3.0-only]

    Each filter and what it looks at: docs/data.md. A run writes the same figures, and the name and
    digest of every file, to data/manifest.json and data/left_out.jsonl.
    """
    from starfreight.files import write_bytes
    from starfreight.jobs.data.report import make_report, render_page
    from starfreight.jobs.data.report.page import as_data, render_text
    from starfreight.recipe import expand, load_recipe

    file = load_recipe(recipe)
    # Variants of a sweep have the same data most often; what they differ in is training.
    first = next(iter(expand(file.recipe)))
    report = make_report(first, file.folder, examples if html else 0, console)
    if html is not None:
        write_bytes(html, render_page(report))
    console.result(
        {**as_data(report), "html": str(html) if html else None},
        render_text(report) + (f"\nThe page lies in {html}." if html else ""),
    )
