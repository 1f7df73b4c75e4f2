"""The steps of a pod, one container each: fetch, the job itself, package, publish."""

from __future__ import annotations

import copy

from starfreight.directory_lock import LOCK_PATIENCE
from starfreight.jobs.backends.kubernetes.manifests.job_spec import RUNS, JobSpec
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.backends.kubernetes.manifests.volumes import (
    OCI_VOLUMES,
    add_credentials,
    add_results_credentials,
    extra_mounts,
    package_path,
    quantity,
    run_link,
    set_variable,
)

_RECIPE = "/etc/starfreight/recipe.yaml"
_LOCK_MARGIN = 60
_PACKAGE_MEMORY = 2 * 2**30
"""Memory for packaging: 0.1 GB for the press, and the rest for Python, the kernels and mapped files."""


def fill_steps(pod: Object, plan: JobSpec) -> None:
    """Fills in a pod's containers; ``pod`` is its ``spec``, with its volumes filled in."""
    steps = {step["name"]: step for step in (*pod["initContainers"], *pod["containers"])}
    kind = plan.kind
    main = steps.pop("train")
    main["name"], main["args"] = kind.name, _entrypoint(plan)
    later = kind.pod_steps[1 : kind.pod_steps.index(plan.last_step) + 1]
    chosen = [main, *(steps[name] for name in later)]
    steps["package"]["args"] = [
        "starfreight", "package", "build", run_link(plan), "--out", package_path(plan),
    ]  # fmt: skip
    if plan.options.results is not None:
        steps["package"]["args"] = [*_package_with_results(plan), *steps["package"]["args"]]
    for step in chosen:
        _fill_common(step, plan)
    fill_resources(main, plan, gpus=True)
    if plan.fetches:
        chosen.insert(0, _fetch(main, pod, plan))
    for step in (main, steps["package"]):
        if step in chosen:
            add_results_credentials(pod, step, plan)
    if plan.recipe.publish is not None and plan.last_step == "publish":
        target = plan.recipe.publish
        steps["publish"]["args"] = [
            "starfreight", "publish", package_path(plan), target.reference,
            *(["--insecure"] if target.insecure else []),
            *(["--format", ",".join(target.formats)] if target.formats else []),
        ]  # fmt: skip
        if plan.options.push_secret is not None:
            add_credentials(pod, steps["publish"], "push", plan.options.push_secret)
    *pod["initContainers"], last = chosen
    pod["containers"] = [last]
    if not pod["initContainers"]:
        del pod["initContainers"]


def _entrypoint(plan: JobSpec) -> list[str]:
    ship = ["--ship"] if plan.last_step in ("package", "publish") else []
    return [
        "python", "-P", "-m", "starfreight.jobs.backends.kubernetes.entrypoint", plan.kind.name, _RECIPE,
        "--folder", plan.folder, "--runs", RUNS, "--name", plan.names.job, *_variant(plan), *ship,
    ]  # fmt: skip


def _package_with_results(plan: JobSpec) -> list[str]:
    """The program around the one that packages: it sends the package."""
    return [
        "python", "-P", "-m", "starfreight.jobs.backends.kubernetes.package_step",
        "--results", str(plan.options.results), "--name", plan.result,
        "--run", run_link(plan), "--package", package_path(plan), "--",
    ]  # fmt: skip


def _variant(plan: JobSpec) -> list[str]:
    return [] if plan.variant is None else ["--variant", str(plan.variant)]


def _fetch(train: Object, pod: Object, plan: JobSpec) -> Object:
    """The first step: fetches inputs over the network, and is the only one to do so."""
    step = copy.deepcopy(train)
    step["name"] = "fetch"
    if plan.fetched_model is not None:
        step["args"] = ["starfreight", "package", "pull", plan.fetched_model, str(plan.model_path)]
    else:
        step["args"] = [
            "python", "-P", "-m", "starfreight.jobs.data.fetch", _RECIPE,
            "--folder", plan.folder, *_variant(plan),
        ]  # fmt: skip
    step["env"] = [entry for entry in step["env"] if entry["name"] != "HF_HUB_OFFLINE"]
    fill_resources(step, plan, gpus=False)
    if plan.options.pull_secret is not None:
        add_credentials(pod, step, "pull", plan.options.pull_secret)
    return step


def _fill_common(step: Object, plan: JobSpec) -> None:
    step["image"] = plan.image
    set_variable(step, "STARFREIGHT_IMAGE", plan.digest)
    # A previous pod may hold the lock while it writes its checkpoint.
    set_variable(step, LOCK_PATIENCE, str(plan.grace + _LOCK_MARGIN))
    if plan.mounted:
        set_variable(step, "STARFREIGHT_OCI_VOLUMES", OCI_VOLUMES)
    step["volumeMounts"] += extra_mounts(plan)
    fill_resources(step, plan, gpus=False)


def fill_resources(step: Object, plan: JobSpec, *, gpus: bool) -> None:
    """Sets requests and limits to the same values, so that a pod is guaranteed its limits.

    Args:
        step: the container.
        plan: the job to render.
        gpus: true for the job itself; the other steps need no GPU and less memory.
    """
    needed = plan.resources
    amounts = {
        "cpu": str(needed.cpus),
        "memory": quantity(needed.memory if gpus else min(needed.memory, _PACKAGE_MEMORY)),
        "ephemeral-storage": quantity(needed.ephemeral_storage),
    }
    if gpus and needed.gpus:
        amounts[plan.options.gpu_resource] = str(needed.gpus)
    step["resources"] = {"requests": dict(amounts), "limits": dict(amounts)}
