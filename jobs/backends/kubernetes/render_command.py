"""``starfreight jobs render``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.console import Console
from starfreight.jobs.backends.kubernetes.options import kubernetes_options
from starfreight.options import with_console


@click.command("render")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--on", "where", type=click.Choice(["kubernetes"]), default="kubernetes", show_default=True,
    help="For which kind of place.",
)  # fmt: skip
@click.option(
    "--for-version", "version", metavar="VERSION", default=None,
    help="The cluster's version, such as 1.31: fields that it does not know are left out.  [default: newest]",
)  # fmt: skip
@click.option("--gpus", metavar="COUNT", default=None, help="GPUs of a pod; 0 for none.")
@click.option("--image", metavar="REFERENCE", default=None, help="The trainer image, with its digest.")
@click.option("--memory", metavar="SIZE", default=None, help="The memory of a pod, such as 32GB.")
@kubernetes_options
@with_console
def render_job(
    recipe: Path, where: str, version: str | None, gpus: str | None, console: Console, **changes: Any
) -> None:
    """Print the job that RECIPE becomes in a cluster, as YAML, for you to look at, to keep and to apply.

    No cluster is needed, and the same recipe always gives the same text.

    \b
        starfreight jobs render recipe.yaml --on kubernetes > job.yaml
        starfreight jobs render recipe.yaml --namespace research --queue gpus | kubectl apply -f -
    """
    from starfreight.jobs.backends.kubernetes.manifests.render import render
    from starfreight.jobs.backends.kubernetes.manifests.versions import NEWEST, show
    from starfreight.recipe import load_recipe, parse_gpus

    count = None if gpus is None else parse_gpus(gpus)
    file = load_recipe(recipe).with_run_options(where=where, gpus=count, **changes)
    rendered = render(file, version=version or show(NEWEST))
    for warning in rendered.warnings:
        console.note(f"Warning: {warning}")
    console.result(
        {"name": rendered.name, "documents": rendered.documents, "warnings": rendered.warnings},
        rendered.as_yaml().rstrip("\n"),
    )
