"""From a recipe to the objects of its job, without a cluster.

    rendered = render(with_options, version="1.34")
    print(rendered.as_yaml())

The same recipe gives the same bytes, so that a repository of manifests shows only what has changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.jobs.backends.kubernetes.manifests.job import fill_job, fill_metadata
from starfreight.jobs.backends.kubernetes.manifests.job_spec import Order, each_variant, place_order
from starfreight.jobs.backends.kubernetes.manifests.nodes import fill_nodes
from starfreight.jobs.backends.kubernetes.manifests.secrets import refuse_secrets
from starfreight.jobs.backends.kubernetes.manifests.templates import (
    Object,
    as_yaml,
    load_template,
    recipe_as_yaml,
)
from starfreight.jobs.backends.kubernetes.manifests.versions import (
    IMAGE_VOLUMES,
    INDEXED_JOBS,
    NEWEST,
    Version,
    leave_out_unknown,
    left_out,
    parse_version,
    show,
)
from starfreight.recipe import Recipe, RecipeFile
from starfreight.recipe.run import RunOptions


@dataclass(frozen=True)
class Rendered:
    """What is sent to a cluster.

    Attributes:
        documents: the ConfigMap, then the Job, JobSet or TrainJob, as plain data; several Jobs for a sweep on
            a server without Indexed Jobs.
        warnings: the fields that the server does not know and that are left out, in words.
        name: of the job.
    """

    documents: tuple[Object, ...]
    warnings: tuple[str, ...]
    name: str

    def as_yaml(self) -> str:
        """All documents as one text that ``kubectl apply -f -`` takes."""
        return as_yaml(list(self.documents))


def render(recipe_file: RecipeFile, *, version: str = show(NEWEST)) -> Rendered:
    """The objects of a recipe's job.

    Args:
        recipe_file: the recipe, with a command line's options in it
            (:meth:`starfreight.recipe.RecipeFile.with_run_options`), and its folder, in which the base
            model's ``config.json`` is looked for. Nothing is fetched.
        version: of the API server: fields that it does not know are left out.

    Raises:
        RecipeError: the recipe cannot be a job in a cluster, holds a secret, or needs what that server lacks.
        InputError: the base model's ``config.json`` is there and cannot be used.
    """
    server = parse_version(version)
    refuse_secrets(recipe_file.recipe)
    order = place_order(recipe_file, server)
    text = recipe_as_yaml(_for_the_pod(order))
    config_map = order.names.config_map(text)
    recipe = load_template("recipe")
    fill_metadata(recipe, order)
    recipe["metadata"]["name"] = config_map
    recipe["data"] = {"recipe.yaml": text}
    jobs, warnings = _jobs(order, config_map, server)
    return Rendered((recipe, *jobs), tuple(warnings), order.names.job)


def _jobs(order: Order, config_map: str, server: Version) -> tuple[list[Object], list[str]]:
    warnings: list[str] = []
    orders = [order]
    if order.indexed and server < INDEXED_JOBS:
        orders = each_variant(order)
        alone = f"each variant is a Job of its own, and all {order.variants} start at once"
        warnings.append(left_out("spec.completionMode", INDEXED_JOBS, alone))
    if order.options.oci_data == "image_volume" and server < IMAGE_VOLUMES:
        fetched = "oci:// data is fetched by a step of its own"
        warnings.append(left_out("spec.template.spec.volumes[].image", IMAGE_VOLUMES, fetched))
    if order.options.nodes > 1 and order.options.engine == "trainer":
        warnings.append(
            "A TrainJob has no place for retries, keep_finished and what exit codes mean: the cluster's "
            "TrainingRuntime decides what is tried again, and when a job goes."
        )
    jobs = []
    for each in orders:
        job = fill_job(each, config_map)
        gone = leave_out_unknown(job, server, pods=each.variants if each.indexed else 1)
        warnings += [warning for warning in gone if warning not in warnings]
        jobs.append(fill_nodes(job, each) if each.options.nodes > 1 else job)
    return jobs, warnings


def _for_the_pod(order: Order) -> object:
    """The recipe as the pod reads it: short, with the number of threads that the pod has CPUs for.

    The time limit is the Job's there (``activeDeadlineSeconds``): a program that stops by itself would be
    started again, since the cluster cannot tell that from a stop that it asked for.
    """
    run = order.recipe.run.model_dump(mode="json", exclude_defaults=True)
    run |= {"where": "kubernetes", "threads": order.resources.threads, "gpus": order.resources.gpus}
    run.pop("time_limit", None)
    recipe: Recipe = order.recipe.model_copy(
        update={"run": RunOptions.model_validate_json(_json(run))},
    )
    return recipe.model_dump(mode="json", exclude_defaults=True)


def _json(data: object) -> str:
    import json

    return json.dumps(data)
