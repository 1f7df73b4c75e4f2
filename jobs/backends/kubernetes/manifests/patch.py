"""The recipe's patch of the Job (``run.kubernetes.patch``): for settings without a key.

    apply_patch(job, read_patch(Path("cluster.yaml")), names=("train", "package"))

A patch is a part of a Job, merged like a strategic merge patch of kubectl: objects by key, lists of named
entries (containers, volumes, variables ...) by name, other lists as a whole; ``null`` removes a key. It also
applies to JobSets and TrainJobs, whose pods are made from the same Job.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from starfreight.errors import RecipeError
from starfreight.files import read_limited
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.gpu.fault_record import NODE_NAME

_MAX_BYTES = 64 << 10

_MERGE_KEYS = {
    "containers": "name", "initContainers": "name", "volumes": "name", "env": "name", "claims": "name",
    "resourceClaims": "name", "schedulingGates": "name", "volumeMounts": "mountPath", "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}  # fmt: skip
"""Lists merged entry by entry, with the key that identifies an entry (the API's ``patchMergeKey``)."""

_POD_FIELDS = frozenset(
    {
        "affinity", "containers", "dnsConfig", "dnsPolicy", "hostAliases", "hostUsers", "initContainers",
        "resourceClaims", "runtimeClassName", "schedulerName", "schedulingGates", "securityContext",
        "shareProcessNamespace", "topologySpreadConstraints", "volumes",
    }
)  # fmt: skip
_CONTAINER_FIELDS = frozenset({"name", "env", "envFrom", "resources", "securityContext", "volumeMounts"})
_KEYS_OF_THE_RECIPE = {
    "image": "run.image",
    "imagePullSecrets": "run.kubernetes.image_pull_secrets",
    "nodeSelector": "run.kubernetes.node_selector",
    "priorityClassName": "run.kubernetes.priority_class",
    "serviceAccountName": "run.kubernetes.service_account",
    "terminationGracePeriodSeconds": "run.kubernetes.checkpoint_grace",
    "tolerations": "run.kubernetes.tolerations",
    "activeDeadlineSeconds": "run.time_limit",
    "backoffLimit": "run.kubernetes.retries",
    "parallelism": "run.kubernetes.parallelism",
    "ttlSecondsAfterFinished": "run.kubernetes.keep_finished",
    "requests": "run.memory, run.gpus and run.kubernetes.cpus",
    "limits": "run.memory, run.gpus and run.kubernetes.cpus",
    "kueue.x-k8s.io/queue-name": "run.kubernetes.queue",
}
"""Keys of a recipe that set a field; a patch of the field is refused."""

_OWN_LABELS = ("dev.starfreight/", "app.kubernetes.io/", "kueue.x-k8s.io/queue-name")


def read_patch(path: Path) -> Object:
    """Read a patch and check that it changes only what a patch may change.

    Raises:
        RecipeError: not a part of a Job, or it changes a field that belongs to Starfreight.
        InputError: the file is missing, unreadable or too large.
    """
    from starfreight.recipe.yaml import parse_yaml

    try:
        text = read_limited(path, _MAX_BYTES, "patch").decode()
    except UnicodeDecodeError as error:
        raise RecipeError("The patch is not UTF-8.", where=str(path), fix="save it as UTF-8") from error
    patch = parse_yaml(text, str(path))
    for field, problem in _problems(patch):
        raise RecipeError(
            problem,
            where=f"{path}, {field}" if field else str(path),
            fix=_fix(field),
        )
    return dict(patch)


def apply_patch(job: Object, patch: Object, names: Collection[str]) -> None:
    """Merge a checked patch into a Job, in place.

    Args:
        job: a Job with all of its steps.
        patch: from :func:`read_patch`.
        names: of the steps that such a job can have. A change of one that this Job lacks has no effect, so a
            patch can serve many recipes.

    Raises:
        RecipeError: the patch changes a value that Starfreight has set, such as a variable of a step.
    """
    pod_patch = patch.get("spec", {}).get("template", {}).get("spec", {})
    steps = {step["name"]: step for step in _steps(job["spec"]["template"]["spec"])}
    own_volumes = {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}
    for volume in pod_patch.get("volumes", []):
        if volume["name"] in own_volumes:
            raise _taken(f"volume {volume['name']!r}", "use another name")
    for change in pod_patch.get("containers", []):
        if change["name"] not in names:
            raise RecipeError(
                f"A job has no step {change['name']!r}.",
                where="key run.kubernetes.patch, spec.template.spec.containers",
                fix=f"name one of its steps ({', '.join(names)}); add a sidecar under initContainers, with "
                "restartPolicy: Always, so that the pod can end without it",
            )
    for change in pod_patch.get("initContainers", []):
        if change["name"] in names:
            raise _taken(
                f"step {change['name']!r}", "change a step under containers, wherever the Job has it"
            )
        if "image" not in change:
            raise RecipeError(
                f"The additional container {change['name']!r} has no image.",
                where="key run.kubernetes.patch, spec.template.spec.initContainers",
                fix="add image",
            )
    changes = [change for change in pod_patch.get("containers", []) if change["name"] in steps]
    for change in changes:
        _check_step(steps[change["name"]], change)
    _merge(job, _without_steps(patch))
    for change in changes:
        _merge(steps[change["name"]], change)


def patched_fields(patch: Object | None) -> frozenset[str]:
    """The fields of the pod that a patch sets."""
    return frozenset((patch or {}).get("spec", {}).get("template", {}).get("spec", {}))


def _steps(pod: Object) -> Iterator[Object]:
    yield from pod.get("initContainers", [])
    yield from pod["containers"]


def _without_steps(patch: Object) -> Object:
    """The patch without changes of steps. Additional containers come before the steps."""
    spec = patch.get("spec", {})
    template = spec.get("template", {})
    pod = {key: value for key, value in template.get("spec", {}).items() if key != "containers"}
    return patch | {"spec": {"template": template | {"spec": pod}}} if spec else patch


def _check_step(step: Object, change: Object) -> None:
    own = {entry["name"] for entry in step["env"]}
    for entry in change.get("env", []):
        ours = entry["name"].startswith(("STARFREIGHT_", "PET_")) and entry["name"] != NODE_NAME
        if ours or entry["name"] in own:
            raise _taken(f"variable {entry['name']!r} of the step {step['name']!r}", "use another name")
    mounted = {mount["mountPath"].rstrip("/") for mount in step["volumeMounts"]}
    for mount in change.get("volumeMounts", []):
        if str(mount["mountPath"]).rstrip("/") in mounted:
            raise _taken(f"mount {mount['mountPath']!r} of the step {step['name']!r}", "use another path")


def _taken(name: str, fix: str) -> RecipeError:
    return RecipeError(
        f"The patch changes the {name}, which belongs to the job.", where="key run.kubernetes.patch", fix=fix
    )


def _merge(target: Object, patch: Object) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif isinstance(value, list) and key in _MERGE_KEYS and isinstance(target.get(key), list):
            target[key] = _merged_list(target[key], value, _MERGE_KEYS[key], first=key == "initContainers")
        else:
            target[key] = _without_nulls(value)


def _merged_list(entries: list[Object], patch: list[Object], name: str, *, first: bool) -> list[Object]:
    known = {entry[name]: entry for entry in entries}
    added = []
    for change in patch:
        if change[name] in known:
            _merge(known[change[name]], change)
        else:
            added.append(_without_nulls(change))
    return [*added, *entries] if first else [*entries, *added]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _problems(patch: Any) -> Iterator[tuple[str, str]]:
    """Yield each forbidden field, with the problem."""
    if not isinstance(patch, dict):
        yield "", "The patch is not a part of a Job."
        return
    if patch.get("kind", "Job") != "Job" or patch.get("apiVersion", "batch/v1") != "batch/v1":
        yield "kind", "The patch is not a part of a Job (batch/v1)."
    yield from _unknown(patch, "", {"apiVersion", "kind", "metadata", "spec"})
    yield from _metadata(patch.get("metadata"), "metadata")
    spec = patch.get("spec")
    yield from _unknown(spec, "spec", {"template"})
    template = spec.get("template") if isinstance(spec, dict) else None
    yield from _unknown(template, "spec.template", {"metadata", "spec"})
    if isinstance(template, dict):
        yield from _metadata(template.get("metadata"), "spec.template.metadata")
        yield from _pod(template.get("spec"), "spec.template.spec")


def _pod(pod: Any, path: str) -> Iterator[tuple[str, str]]:
    yield from _unknown(pod, path, _POD_FIELDS)
    yield from _lists(pod, path)
    for container in (pod or {}).get("containers") or []:
        yield from _unknown(container, f"{path}.containers", _CONTAINER_FIELDS)
        yield from _unknown(container.get("resources"), f"{path}.containers.resources", {"claims"})
        yield from _lists(container, f"{path}.containers")


def _metadata(metadata: Any, path: str) -> Iterator[tuple[str, str]]:
    yield from _unknown(metadata, path, {"labels", "annotations"})
    for part in ("labels", "annotations"):
        values = (metadata or {}).get(part)
        yield from _unknown(values, f"{path}.{part}", None)
        for key, value in (values or {}).items():
            if key.startswith(_OWN_LABELS):
                yield f"{path}.{part}.{key}", f"The patch changes {key!r}, which belongs to the job."
            elif not isinstance(value, str):
                yield f"{path}.{part}.{key}", f"The value of {key!r} is not text: write it in quotes."


def _unknown(value: Any, path: str, allowed: set[str] | frozenset[str] | None) -> Iterator[tuple[str, str]]:
    """Yield the keys of an object outside ``allowed``; an absent object is valid."""
    if value is None:
        return
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        yield path, f"The patch's {path or 'document'} is not an object."
        return
    for key in value:
        if allowed is not None and key not in allowed:
            yield (
                f"{path}.{key}".removeprefix("."),
                f"The patch changes {key!r}, which a patch cannot change.",
            )


def _lists(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the lists of named entries with an entry without its name."""
    for key, each in value.items() if isinstance(value, dict) else ():
        if key in _MERGE_KEYS and each is not None:
            name = _MERGE_KEYS[key]
            entries = each if isinstance(each, list) else [None]
            if not all(isinstance(entry, dict) and isinstance(entry.get(name), str) for entry in entries):
                yield f"{path}.{key}", f"An entry of {key} has no {name}."


def _fix(field: str) -> str:
    last = field.rpartition(".")[2]
    for name, key in _KEYS_OF_THE_RECIPE.items():
        if last == name or field.endswith(f".{name}"):
            return f"remove it, and set {key} in the recipe"
    return "the fields of a patch are in: starfreight docs kubernetes"
