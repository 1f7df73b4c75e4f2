"""``starfreight jobs render``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.console import Console
from starfreight.jobs.backends.kubernetes.options import cluster_options, until_option
from starfreight.options import little_data_option, with_console


@click.command("render")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option(
    "--on", "where", type=click.Choice(["kubernetes"]), default="kubernetes", show_default=True,
    help="Backend to render for.",
)  # fmt: skip
@click.option(
    "--kind", type=click.Choice(["train", "evaluate"]), default="train", show_default=True,
    help="Kind of the job: train, or evaluate for the model of evaluate.model.",
)  # fmt: skip
@click.option(
    "--for-version", "version", metavar="VERSION", default=None,
    help="Version of the cluster, e.g. 1.31. Fields that it lacks are left out. [default: newest]",
)  # fmt: skip
@click.option(
    "--gpus", metavar="COUNT", default=None, help="Number of GPUs of a pod, 0 for none. [default: run.gpus]"
)
@click.option(
    "--image",
    metavar="REFERENCE",
    default=None,
    help="Image of the pods, with its digest. [default: run.image, or the one pushed last]",
)
@click.option(
    "--memory",
    metavar="SIZE",
    default=None,
    help="Memory of a pod, e.g. 32GB. [default: run.memory, or the plan's]",
)
@cluster_options
@until_option
@little_data_option
@with_console
def render_job(
    recipe: Path,
    where: str,
    kind: str,
    version: str | None,
    gpus: str | None,
    console: Console,
    **changes: Any,
) -> None:
    """Print the Kubernetes manifests of RECIPE's job as YAML.

    No cluster is needed. The same recipe always gives the same bytes.

    \b
        starfreight jobs render recipe.yaml --on kubernetes > job.yaml
        starfreight jobs render recipe.yaml --namespace research --queue gpus | kubectl apply -f -
    """
    from starfreight.jobs.backends.kubernetes.manifests.render import render
    from starfreight.jobs.backends.kubernetes.manifests.versions import NEWEST, version_text
    from starfreight.jobs.kinds.table import find_kind
    from starfreight.recipe import load_recipe, parse_gpus

    count = None if gpus is None else parse_gpus(gpus)
    file = load_recipe(recipe).with_run_options(where=where, gpus=count, **changes)
    rendered = render(file, version=version or version_text(NEWEST), kind=find_kind(kind))
    for warning in rendered.warnings:
        console.note(f"Warning: {warning}")
    console.result(
        {"name": rendered.name, "documents": rendered.documents, "warnings": rendered.warnings},
        rendered.as_yaml().rstrip("\n"),
    )
