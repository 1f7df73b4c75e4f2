"""The volumes of a pod: the recipe, the runs, the data, artifacts of registries, and room on the node."""

from __future__ import annotations

from typing import Any

from starfreight.jobs.backends.kubernetes.manifests.job_spec import DATA, RUNS, Order
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.registry import parse_digest_reference

OCI_VOLUMES = "/oci"
"""Where artifacts are mounted, each under the hex digits of its digest."""
SECRETS = "/run/secrets/starfreight"

_GIB = 2**30


def quantity(amount: int) -> str:
    """Bytes as Kubernetes writes them, in the largest binary unit that keeps them whole."""
    for unit, size in (("Gi", _GIB), ("Mi", 2**20), ("Ki", 2**10)):
        if amount % size == 0:
            return f"{amount // size}{unit}"
    return str(amount)


def fill_volumes(pod: Object, order: Order, config_map: str) -> None:
    """Fills in a pod's volumes; ``pod`` is its ``spec``."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    volumes["recipe"]["configMap"]["name"] = config_map
    volumes["runs"]["persistentVolumeClaim"]["claimName"] = order.options.runs_claim
    disk = order.resources.ephemeral_storage
    tmp = min(_GIB, disk // 2)
    volumes["tmp"]["emptyDir"]["sizeLimit"] = quantity(tmp)
    # The rest is for logs.
    volumes["cache"]["emptyDir"]["sizeLimit"] = quantity((disk - tmp) * 3 // 4)
    volumes["shm"]["emptyDir"]["sizeLimit"] = quantity(order.resources.shared_memory)
    more: list[Object] = []
    if order.options.data_claim is not None:
        claim = {"claimName": order.options.data_claim, "readOnly": True}
        more.append({"name": "data", "persistentVolumeClaim": claim})
    for reference in order.mounted:
        image = {"reference": reference, "pullPolicy": "IfNotPresent"}
        more.append({"name": _oci_name(reference), "image": image})
    pod["volumes"] = [*volumes.values(), *more]


def more_mounts(order: Order) -> list[Object]:
    """The mounts of every step beside those of the template."""
    mounts: list[Object] = []
    if order.options.data_claim is not None:
        mounts.append({"name": "data", "mountPath": DATA, "readOnly": True})
    for reference in order.mounted:
        path = f"{OCI_VOLUMES}/{parse_digest_reference(reference).digest.removeprefix('sha256:')}"
        mounts.append({"name": _oci_name(reference), "mountPath": path, "readOnly": True})
    return mounts


def add_credentials(pod: Object, step: Object, name: str, secret: str) -> None:
    """Shows a registry's credentials to one step of a pod, and to no other."""
    items = [{"key": ".dockerconfigjson", "path": "config.json"}]
    # Readable for the group, which is that of fsGroup.
    pod["volumes"].append(
        {"name": name, "secret": {"secretName": secret, "items": items, "defaultMode": 0o440}}
    )
    step["env"].append({"name": "DOCKER_CONFIG", "value": f"{SECRETS}/{name}"})
    step["volumeMounts"].append({"name": name, "mountPath": f"{SECRETS}/{name}", "readOnly": True})


def run_link(order: Order) -> str:
    """Where the steps after training find the run."""
    return f"{RUNS}/.jobs/{order.result}"


def package_folder(order: Order) -> str:
    """Where the package goes."""
    return f"{RUNS}/packages/{order.result}"


def _oci_name(reference: str) -> str:
    return "oci-" + parse_digest_reference(reference).digest.removeprefix("sha256:")[:10]


def variable(step: Object, name: str, value: Any) -> None:
    """Sets an environment variable of a step, in its place when it is there."""
    for entry in step["env"]:
        if entry["name"] == name:
            entry["value"] = value
            return
    step["env"].append({"name": name, "value": value})
