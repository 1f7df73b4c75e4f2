"""Renders the objects of a recipe's job. No cluster is needed.

    rendered = render(with_options, version="1.34")
    print(rendered.as_yaml())

The same recipe gives the same bytes, so that a repository of manifests shows real changes only.
"""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.jobs.backends.kubernetes.manifests.job import fill_job, fill_metadata
from starfreight.jobs.backends.kubernetes.manifests.job_spec import JobSpec, each_variant, plan_job
from starfreight.jobs.backends.kubernetes.manifests.nodes import fill_nodes
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
    left_out_warning,
    parse_version,
    version_text,
)
from starfreight.jobs.kinds.interface import JobKind
from starfreight.jobs.kinds.table import find_kind
from starfreight.recipe import Recipe, RecipeFile
from starfreight.recipe.run import RunOptions


@dataclass(frozen=True)
class Rendered:
    """The objects of a job.

    Attributes:
        documents: the ConfigMap, then the Job, JobSet or TrainJob, as plain data; several Jobs for a sweep on
            a server without Indexed Jobs.
        warnings: fields left out because the server does not support them, and other limitations.
        name: of the job.
        results: names of its runs and packages on the volume, one for each variant.
        earlier_name: name of the same job before the first release.
    """

    documents: tuple[Object, ...]
    warnings: tuple[str, ...]
    name: str
    results: tuple[str, ...]
    earlier_name: str | None = None

    @property
    def earlier_names(self) -> dict[str, str]:
        """The name of each job before the first release; without Indexed Jobs, of each variant of a sweep."""
        if self.earlier_name is None:
            return {}
        names = [str(one["metadata"]["name"]) for one in self.documents if one["kind"] != "ConfigMap"]
        return {name: self.earlier_name + name.removeprefix(self.name) for name in names}

    def as_yaml(self) -> str:
        """All documents as YAML for ``kubectl apply -f -``."""
        return as_yaml(list(self.documents))


def render(
    recipe_file: RecipeFile, *, version: str = version_text(NEWEST), kind: JobKind | None = None
) -> Rendered:
    """The objects of a recipe's job.

    Args:
        recipe_file: the recipe, with the command line's options in it
            (:meth:`starfreight.recipe.RecipeFile.with_run_options`), and its directory, where the base
            model's ``config.json`` is read if it exists. Nothing is fetched.
        version: of the API server; fields it does not support are left out.
        kind: of the job; training by default.

    Raises:
        RecipeError: the recipe cannot run in a cluster, or needs a newer server.
        InputError: the base model's ``config.json`` is not valid.
    """
    server = parse_version(version)
    plan = plan_job(kind or find_kind("train"), recipe_file, server)
    text = recipe_as_yaml(_for_the_pod(plan))
    config_map = plan.names.config_map(text)
    recipe = load_template("recipe")
    fill_metadata(recipe, plan)
    recipe["metadata"]["name"] = config_map
    recipe["data"] = {"recipe.yaml": text}
    jobs, warnings = _jobs(plan, config_map, server)
    return Rendered((recipe, *jobs), tuple(warnings), plan.names.job, plan.results, plan.names.earlier_job)


def _jobs(plan: JobSpec, config_map: str, server: Version) -> tuple[list[Object], list[str]]:
    warnings: list[str] = []
    plans = [plan]
    if plan.indexed and server < INDEXED_JOBS:
        plans = each_variant(plan)
        alone = f"each variant is a separate Job, and all {plan.variants} start at once"
        warnings.append(left_out_warning("spec.completionMode", INDEXED_JOBS, alone))
    if plan.options.oci_data == "image_volume" and server < IMAGE_VOLUMES:
        fetched = "oci:// data is fetched by a separate step"
        warnings.append(left_out_warning("spec.template.spec.volumes[].image", IMAGE_VOLUMES, fetched))
    if plan.options.nodes > 1 and plan.options.engine == "trainer":
        warnings.append(
            "A TrainJob supports neither retries nor keep_finished nor rules for exit codes: the cluster's "
            "TrainingRuntime decides whether a failure is retried and when a job is deleted."
        )
    jobs = []
    for each in plans:
        job = fill_job(each, config_map)
        left_out = leave_out_unknown(job, server, pods=each.variants if each.indexed else 1)
        warnings += [warning for warning in left_out if warning not in warnings]
        jobs.append(fill_nodes(job, each) if each.options.nodes > 1 else job)
    return jobs, warnings


def _for_the_pod(plan: JobSpec) -> object:
    """The recipe for the pod: without defaults, and with the number of threads for its CPUs.

    The time limit becomes the Job's (``activeDeadlineSeconds``). If the program itself stopped at the limit,
    the cluster would restart it, as after a stop on the cluster's own request.
    """
    run = plan.recipe.run.model_dump(mode="json", exclude_defaults=True)
    run |= {"where": "kubernetes", "threads": plan.resources.threads, "gpus": plan.resources.gpus}
    run.pop("time_limit", None)
    run.get("kubernetes", {}).pop("patch", None)  # A path on the machine of the submitter.
    changed: dict[str, object] = {"run": RunOptions.model_validate_json(_json(run))}
    if plan.recipe.evaluate is not None and plan.model_path is not None:
        changed["evaluate"] = plan.recipe.evaluate.model_copy(update={"model": plan.model_path})
    recipe: Recipe = plan.recipe.model_copy(update=changed)
    return recipe.model_dump(mode="json", exclude_defaults=True)


def _json(data: object) -> str:
    import json

    return json.dumps(data)
