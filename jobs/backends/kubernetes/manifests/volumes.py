"""Volumes of a pod: the recipe, the runs, the data, artifacts of registries, and temporary storage."""

from __future__ import annotations

from typing import Any

from starfreight.jobs.backends.kubernetes.manifests.job_spec import DATA, RUNS, JobSpec
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.registry import parse_digest_reference
from starfreight.results.address import REGISTRY_SCHEMES, parse_place

OCI_VOLUMES = "/oci"
"""Directory of mounted artifacts, each under the hex digits of its digest."""
SECRETS = "/run/secrets/starfreight"

_GIB = 2**30


def quantity(amount: int) -> str:
    """A number of bytes as a Kubernetes quantity, in the largest binary unit without a fraction."""
    for unit, size in (("Gi", _GIB), ("Mi", 2**20), ("Ki", 2**10)):
        if amount % size == 0:
            return f"{amount // size}{unit}"
    return str(amount)


def fill_volumes(pod: Object, plan: JobSpec, config_map: str) -> None:
    """Fills in a pod's volumes; ``pod`` is its ``spec``."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    volumes["recipe"]["configMap"]["name"] = config_map
    disk = plan.resources.ephemeral_storage
    if plan.options.runs_claim is not None:
        volumes["runs"]["persistentVolumeClaim"]["claimName"] = plan.options.runs_claim
    else:
        # Runs take what the other volumes leave of the pod's limit, which is the sum of all.
        volumes["runs"] = {"name": "runs", "emptyDir": {"sizeLimit": quantity(disk)}}
    tmp = min(_GIB, disk // 2)
    volumes["tmp"]["emptyDir"]["sizeLimit"] = quantity(tmp)
    # The remaining quarter is for logs.
    volumes["cache"]["emptyDir"]["sizeLimit"] = quantity((disk - tmp) * 3 // 4)
    volumes["shm"]["emptyDir"]["sizeLimit"] = quantity(plan.resources.shared_memory)
    more: list[Object] = []
    if plan.options.data_claim is not None:
        claim = {"claimName": plan.options.data_claim, "readOnly": True}
        more.append({"name": "data", "persistentVolumeClaim": claim})
    for reference in plan.mounted:
        image = {"reference": reference, "pullPolicy": "IfNotPresent"}
        more.append({"name": _oci_name(reference), "image": image})
    pod["volumes"] = [*volumes.values(), *more]


def extra_mounts(plan: JobSpec) -> list[Object]:
    """Mounts of every step in addition to those of the template."""
    mounts: list[Object] = []
    if plan.options.data_claim is not None:
        mounts.append({"name": "data", "mountPath": DATA, "readOnly": True})
    for reference in plan.mounted:
        path = f"{OCI_VOLUMES}/{parse_digest_reference(reference).digest.removeprefix('sha256:')}"
        mounts.append({"name": _oci_name(reference), "mountPath": path, "readOnly": True})
    return mounts


def add_credentials(pod: Object, step: Object, name: str, secret: str) -> None:
    """Mounts the credentials of a registry into one step of a pod, and no other."""
    items = [{"key": ".dockerconfigjson", "path": "config.json"}]
    # Readable for the group, which is the pod's fsGroup.
    volume = {"name": name, "secret": {"secretName": secret, "items": items, "defaultMode": 0o440}}
    if volume not in pod["volumes"]:  # Several steps may send results.
        pod["volumes"].append(volume)
    step["env"].append({"name": "DOCKER_CONFIG", "value": f"{SECRETS}/{name}"})
    step["volumeMounts"].append({"name": name, "mountPath": f"{SECRETS}/{name}", "readOnly": True})


def add_results_credentials(pod: Object, step: Object, plan: JobSpec) -> None:
    """Adds the credentials of the store of results to one step of a pod."""
    options = plan.options
    if options.results is None:
        return
    if parse_place(options.results).scheme in REGISTRY_SCHEMES:
        secret = options.results_secret or options.push_secret
        if secret is not None:
            add_credentials(pod, step, "results", secret)
    elif options.results_secret is not None:
        step["envFrom"] = [{"secretRef": {"name": options.results_secret}}]


def run_link(plan: JobSpec) -> str:
    """Path of the run for the steps after training."""
    return f"{RUNS}/.jobs/{plan.result}"


def package_path(plan: JobSpec) -> str:
    """Path of the package."""
    return f"{RUNS}/packages/{plan.result}"


def _oci_name(reference: str) -> str:
    return "oci-" + parse_digest_reference(reference).digest.removeprefix("sha256:")[:10]


def set_variable(step: Object, name: str, value: Any) -> None:
    """Sets an environment variable of a step; an existing one keeps its position."""
    for entry in step["env"]:
        if entry["name"] == name:
            entry["value"] = value
            return
    step["env"].append({"name": name, "value": value})
