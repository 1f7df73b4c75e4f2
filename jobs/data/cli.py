"""``starfreight data``: inspects the data of a recipe, and pushes it to a registry."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console


@click.group()
def data() -> None:
    """Inspect the data of a recipe and the effect of its filters, or push it to a registry."""


@data.command("inspect")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures and rendered examples to this HTML file.",
)
@click.option(
    "--examples",
    type=click.IntRange(0, 100),
    default=5,
    show_default=True,
    help="Number of examples per source in the HTML file.",
)
@with_console
def inspect_data(recipe: Path, html: Path | None, examples: int, console: Console) -> None:
    """Show the training data of RECIPE, the texts left out, and the reasons.

    Reads and filters the data like a run, and keeps nothing. For each source, counts files, bytes
    and tokens by language and license, lists a few of the texts that each filter leaves out, and
    counts the texts held out for evaluation. Warns of data so little that a run stops.

    \b
        starfreight data inspect recipe.yaml
        starfreight data inspect recipe.yaml --html data.html    with examples as the model reads them
        starfreight data inspect recipe.yaml --json | jq '.sources[].left_out'

    To turn a filter off or relax it, set it for the source in the recipe:

    \b
        data:
          - source: ./src
            license: MIT                       otherwise files without a license are left out
            filters:
              generated: false
              near_duplicates: false
              licenses: [MIT, LGPL-3.0-only]

    `starfreight docs data` describes the filters. A run writes the same figures, and the name and
    digest of every file, to data/manifest.json and data/left_out.jsonl.
    """
    from starfreight.files import write_bytes
    from starfreight.jobs.data.report import build_data_report, render_page
    from starfreight.jobs.data.report.page import as_data, render_text
    from starfreight.recipe import expand, load_recipe

    file = load_recipe(recipe)
    # Variants of a sweep mostly differ in training only.
    first = next(iter(expand(file.recipe)))
    report = build_data_report(first, file.folder, examples if html else 0, console)
    if html is not None:
        write_bytes(html, render_page(report))
    console.result(
        {**as_data(report), "html": str(html) if html else None},
        render_text(report) + (f"\nPage written to {html}." if html else ""),
    )


@data.command("push")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("target", metavar="oci://HOST/NAMESPACE/NAME")
@click.option(
    "--write",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="NEW.yaml",
    help="Write the recipe with the artifacts in place of the local paths.",
)
@click.option("--with-secrets", is_flag=True, help="Push texts with keys, tokens or passwords, too.")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def push_data(
    recipe: Path, target: str, write: Path | None, with_secrets: bool, insecure: bool, console: Console
) -> None:
    """Push the local data and base model of RECIPE to a registry, so that it also trains in a cluster.

    Each local directory or file of records becomes an artifact with the texts that training reads: hidden,
    binary and excluded files stay here. So does a local base model, with its files. Prints the `oci://` line
    of each; it names the digest, so the data cannot change. Training gets the same bytes.

    Files with secrets are left out, as in training. A file of records with secrets is refused.

    \b
        starfreight data push recipe.yaml oci://ghcr.io/acme/data
        starfreight data push recipe.yaml oci://ghcr.io/acme/data --write cluster.yaml
        starfreight jobs run cluster.yaml --on kubernetes
    """
    from starfreight.jobs.data.push import push_recipe

    pushed = push_recipe(
        recipe, target, insecure=insecure, with_secrets=with_secrets, write=write, console=console
    )
    console.result(pushed.as_dict(), pushed.as_text())
