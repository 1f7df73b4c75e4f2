"""The steps of a pod, one container each: fetch, train, package, publish, as far as they are asked for."""

from __future__ import annotations

import copy

from starfreight.files import LOCK_PATIENCE
from starfreight.jobs.backends.kubernetes.manifests.job_spec import Order
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.backends.kubernetes.manifests.volumes import (
    OCI_VOLUMES,
    add_credentials,
    more_mounts,
    package_folder,
    quantity,
    run_link,
    variable,
)

_STEPS = ("train", "package", "publish")
_RECIPE = "/etc/starfreight/recipe.yaml"
_MORE_PATIENCE = 60
_PACKAGE_MEMORY = 2 * 2**30
"""The press itself takes a tenth of a gigabyte; Python, the kernels and what they map come with it."""


def fill_steps(pod: Object, order: Order) -> None:
    """Fills in a pod's containers; ``pod`` is its ``spec``, with its volumes filled in."""
    steps = {step["name"]: step for step in (*pod["initContainers"], *pod["containers"])}
    wanted = [steps[name] for name in _STEPS[: _STEPS.index(order.options.until) + 1]]
    steps["train"]["args"] = _train(order)
    steps["package"]["args"] = [
        "starfreight", "package", "build", run_link(order), "--out", package_folder(order),
    ]  # fmt: skip
    for step in wanted:
        _fill_common(step, order)
    fill_resources(steps["train"], order, gpus=True)
    if order.fetches:
        wanted.insert(0, _fetch(steps["train"], pod, order))
    if order.recipe.publish is not None and order.options.until == "publish":
        target = order.recipe.publish
        steps["publish"]["args"] = [
            "starfreight", "publish", package_folder(order), target.reference,
            *(["--insecure"] if target.insecure else []),
        ]  # fmt: skip
        if order.options.push_secret is not None:
            add_credentials(pod, steps["publish"], "push", order.options.push_secret)
    *pod["initContainers"], main = wanted
    pod["containers"] = [main]
    if not pod["initContainers"]:
        del pod["initContainers"]


def _train(order: Order) -> list[str]:
    variant = [] if order.variant is None else ["--variant", str(order.variant)]
    return [
        "python", "-P", "-m", "starfreight.jobs.backends.kubernetes.entrypoint", _RECIPE,
        "--folder", order.folder, "--runs", "/runs", "--name", order.names.job, *variant,
    ]  # fmt: skip


def _fetch(train: Object, pod: Object, order: Order) -> Object:
    """The step before training: the only one in which training's inputs come over the network."""
    step = copy.deepcopy(train)
    step["name"] = "fetch"
    variant = [] if order.variant is None else ["--variant", str(order.variant)]
    step["args"] = [
        "python",
        "-P",
        "-m",
        "starfreight.jobs.data.fetch",
        _RECIPE,
        "--folder",
        order.folder,
        *variant,
    ]
    step["env"] = [entry for entry in step["env"] if entry["name"] != "HF_HUB_OFFLINE"]
    fill_resources(step, order, gpus=False)
    if order.options.pull_secret is not None:
        add_credentials(pod, step, "pull", order.options.pull_secret)
    return step


def _fill_common(step: Object, order: Order) -> None:
    step["image"] = order.image
    variable(step, "STARFREIGHT_IMAGE", order.digest)
    # The pod before this one may have so long for its checkpoint.
    variable(step, LOCK_PATIENCE, str(order.resources.checkpoint_grace + _MORE_PATIENCE))
    if order.mounted:
        variable(step, "STARFREIGHT_OCI_VOLUMES", OCI_VOLUMES)
    step["volumeMounts"] += more_mounts(order)
    fill_resources(step, order, gpus=False)


def fill_resources(step: Object, order: Order, *, gpus: bool) -> None:
    """Requests and limits, which are the same: what is promised is what may be used.

    Args:
        step: the container.
        order: what is rendered.
        gpus: whether it trains; the other steps need no GPU and less memory.
    """
    needed = order.resources
    amounts = {
        "cpu": str(needed.cpus),
        "memory": quantity(needed.memory if gpus else min(needed.memory, _PACKAGE_MEMORY)),
        "ephemeral-storage": quantity(needed.ephemeral_storage),
    }
    if gpus and needed.gpus:
        amounts[order.options.gpu_resource] = str(needed.gpus)
    step["resources"] = {"requests": dict(amounts), "limits": dict(amounts)}
