"""Submits rendered jobs, each once, and resumes those that were cancelled or failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.config_maps import adopt_config_maps
from starfreight.jobs.backends.kubernetes.client.documents import (
    as_submitted,
    config_map_names,
    dry_run,
    in_namespace,
)
from starfreight.jobs.backends.kubernetes.client.job_status import paused, view
from starfreight.jobs.backends.kubernetes.client.pause import unpause
from starfreight.jobs.backends.kubernetes.client.recreate import recreate, wait_until_deleted
from starfreight.jobs.backends.kubernetes.client.release import release
from starfreight.jobs.backends.kubernetes.client.targets import (
    JOB,
    ObjectKind,
    Target,
    check_namespace,
    find_job,
    object_kind,
)
from starfreight.jobs.backends.kubernetes.manifests.names import ANNOTATION_RECIPE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class SubmittedJob:
    """A job in the cluster, and its state before."""

    target: Target
    how: Literal["created", "running", "resumed", "again", "done"]


def submit(
    cluster: Cluster,
    documents: Sequence[Object],
    console: Console,
    earlier_names: Mapping[str, str] = _NO_NAMES,
    *,
    replace: bool = False,
) -> tuple[SubmittedJob, ...]:
    """Creates the jobs of a rendered recipe, unless the cluster has them already.

    Equal names mean equal work, also of objects of different kinds. A running job is left alone, a cancelled
    one is resumed, a failed one is created again, and a finished one stays finished.

    Args:
        cluster: the cluster.
        documents: the ConfigMap and the Job, as rendered; several Jobs if the server lacks Indexed Jobs.
        console: shows the state of each job.
        earlier_names: for each job its name by an earlier version of Starfreight, looked up if the cluster
            does not have the job under its own name.
        replace: delete the jobs that are there, and create them again with the options in ``documents``; they
            resume from their checkpoints.

    Raises:
        RecipeError: the server rejects a document as invalid; nothing was created.
        InputError: the namespace does not exist.
        ServiceError: the server refuses, or does not answer.
    """
    config_maps = [one for one in documents if one.get("kind") == "ConfigMap"]
    submitted = []
    checked: set[ObjectKind] = set()
    for document in documents:
        kind = object_kind(document)
        if kind is not None:
            target = Target(kind, str(document["metadata"]["name"]))
            if kind not in checked:
                _check_kind(cluster, kind)
                checked.add(kind)
            existing = find_job(cluster, target.name)
            earlier = earlier_names.get(target.name)
            if existing is None and earlier is not None:
                existing = _find_earlier(cluster, Target(kind, earlier), replace)
            submitted.append(_submit(cluster, target, document, config_maps, console, existing, replace))
    return tuple(submitted)


def resume(cluster: Cluster, target: Target, job: Object, console: Console) -> SubmittedJob:
    """Resumes a cancelled job, or creates a failed one again; both continue from the last checkpoint.

    Raises:
        InputError: the target is one variant of a sweep.
        ServiceError: the server refuses, or does not answer.
    """
    if target.variant is not None:
        raise InputError(
            "One variant of a sweep cannot be resumed alone.",
            where=target.link,
            fix=f"resume the sweep: starfreight jobs resume {target.name} {cluster.on}",
        )
    now = view(job)
    if now.status == "failed":
        again = as_submitted(job)
        config_maps = [{"metadata": {"name": name}} for name in config_map_names(again)]
        recreate(cluster, target, target, job, again, config_maps)
        console.note(f"{target.name} is submitted again.")
        return SubmittedJob(target, "again")
    if paused(job) is not None and now.status in ("stopped", "stopping"):
        unpause(cluster, target, job)
        console.note(f"{target.name} is resumed.")
        return SubmittedJob(target, "resumed")
    if now.status in ("stopped", "queued"):
        return SubmittedJob(target, "resumed" if release(cluster, target, job, console) else "running")
    if now.status == "deleting":
        raise InputError(
            f"The job {target.name} is being deleted.",
            where=f"namespace {cluster.namespace}",
            fix="submit its recipe again; it resumes from the last checkpoint",
        )
    return SubmittedJob(target, "done" if now.status == "done" else "running")


def _submit(
    cluster: Cluster,
    target: Target,
    document: Object,
    config_maps: list[Object],
    console: Console,
    existing: tuple[Target, Object] | None,
    replace: bool,
) -> SubmittedJob:
    if existing is not None:
        new = _New(target, in_namespace(cluster, document), config_maps)
        how = _replace if replace else _continue
        submitted = how(cluster, *existing, new, console)
        if submitted is not None:
            return submitted
    dry_run(cluster, target.kind, document, config_maps)
    # The Job first: its pod waits for the ConfigMap, and an owned ConfigMap is deleted with the Job.
    made = cluster.create(target.kind.path(cluster), in_namespace(cluster, document))
    if made is None:
        # Created by another command, or by this one if only the answer was lost: its ConfigMap is missing.
        adopt_config_maps(cluster, target.kind, cluster.get(target.path(cluster)), config_maps)
        console.note(f"{target.name} was submitted a moment ago and is not submitted again.")
        return SubmittedJob(target, "running")
    try:
        adopt_config_maps(cluster, target.kind, made, config_maps)
    except StarfreightError:
        cluster.delete(target.path(cluster), propagationPolicy="Background")
        raise
    console.note(f"Submitted {target.name} to the namespace {cluster.namespace}.")
    return SubmittedJob(target, "created")


@dataclass(frozen=True)
class _New:
    """A job to submit."""

    target: Target
    document: Object
    config_maps: list[Object]


def _find_earlier(cluster: Cluster, target: Target, replace: bool) -> tuple[Target, Object] | None:
    """A job named by an earlier version; ``None`` if it is gone, going, or failed and not to be replaced."""
    found = cluster.find(target.path(cluster))
    if found is None or view(found).status == "deleting" or (view(found).status == "failed" and not replace):
        return None
    return target, found


def _replace(
    cluster: Cluster, target: Target, existing: Object, new: _New, console: Console
) -> SubmittedJob | None:
    """Deletes a job and creates it with new options; ``None`` if it is deleted already and can be created."""
    if view(existing).status == "deleting":
        return _continue(cluster, target, existing, new, console)
    console.note(
        f"{target.name} is deleted and submitted again with the current options. Its checkpoints are kept."
    )
    recreate(cluster, new.target, target, existing, new.document, new.config_maps)
    return SubmittedJob(new.target, "again")


def _continue(
    cluster: Cluster, target: Target, existing: Object, new: _New, console: Console
) -> SubmittedJob | None:
    """Continues with a job that is in the cluster; ``None`` if it is deleted and can be created."""
    now = view(existing)
    kept = _kept_options(target, now.recipe_digest, new)
    if now.status == "done":
        console.note(f"{target.name} is finished already{kept}.")
        return SubmittedJob(target, "done")
    if now.status == "failed":
        console.note(f"{target.name} failed before ({now.what}). It is submitted again, and resumes.")
        recreate(cluster, new.target, target, existing, new.document, new.config_maps)
        return SubmittedJob(new.target, "again")
    if now.status == "deleting":
        console.note(f"{target.name} is being deleted. Waiting for that.")
        wait_until_deleted(cluster, target, existing)
        return None
    if target == new.target:
        adopt_config_maps(cluster, target.kind, existing, new.config_maps)
    if paused(existing) is not None:
        unpause(cluster, target, existing)
        console.note(f"{target.name} was cancelled before and is resumed{kept}.")
        return SubmittedJob(target, "resumed")
    console.note(f"{target.name} was submitted before and is not submitted again{kept}.")
    return SubmittedJob(target, "running")


def _kept_options(target: Target, old: str | None, new: _New) -> str:
    """A note on the options that an existing job keeps; empty if the new ones are the same."""
    digest = (new.document["metadata"].get("annotations") or {}).get(ANNOTATION_RECIPE)
    kind = "" if target.kind is new.target.kind else f" is a {target.kind.name}, and"
    if target.name != new.target.name or (not kind and not (old and digest and old != digest)):
        return ""
    return f"; it{kind} keeps the options it was submitted with (to apply the current ones, add --replace)"


def _check_kind(cluster: Cluster, kind: ObjectKind) -> None:
    """Checks that the cluster has a kind of objects, and the namespace."""
    if kind is not JOB and cluster.find(f"/{kind.group}") is None:
        raise ServiceError(
            f"The cluster does not have {kind.name}s.",
            where=f"{cluster.server}/{kind.group}",
            fix="ask an admin to install them (starfreight docs kubernetes-admin), "
            "or set run.kubernetes.nodes to 1",
        )
    check_namespace(cluster)
