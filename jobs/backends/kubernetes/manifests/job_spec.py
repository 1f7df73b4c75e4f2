"""The specification of a job in a cluster: names, image, resources and steps, decided once."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from starfreight.base_artifact import is_artifact
from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.manifests.evaluated_model import check_model
from starfreight.jobs.backends.kubernetes.manifests.image import choose_image
from starfreight.jobs.backends.kubernetes.manifests.names import Names, choose_names
from starfreight.jobs.backends.kubernetes.manifests.patch import read_patch
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.backends.kubernetes.manifests.versions import IMAGE_VOLUMES, Version
from starfreight.jobs.data.sources import kind_of
from starfreight.jobs.kinds.interface import JobKind
from starfreight.jobs.planning.pod import PodResources, base_is_fetched
from starfreight.jobs.prepare.check_processes import check_processes
from starfreight.recipe import Recipe, RecipeFile, expand
from starfreight.recipe.kubernetes import KubernetesOptions
from starfreight.registry import parse_digest_reference
from starfreight.results.address import REGISTRY_SCHEMES, parse_place

DATA = "/data"
RUNS = "/runs"
NODE_JOB = "node"
"""Name of the Job inside a JobSet."""
OCI = "oci://"

_DAY = 24 * 3600
_SEND_GRACE = 120
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class JobSpec:
    """A job to render.

    Attributes:
        kind: its kind.
        recipe: with its sweep.
        variants: number of runs; 1 without a sweep.
        variant: number of the only variant in this Job, if each variant is a Job; otherwise ``None``.
        names: of its objects.
        image: reference with its digest.
        digest: of the image.
        resources: of each pod, sufficient for every variant.
        mounted: ``oci://`` sources that the kubelet mounts, without this prefix.
        fetches: true if inputs are fetched by a step before the job.
        model: the packaged model that the job reads instead of data; see :meth:`JobKind.pod_model`.
        patch: a part of a Job to merge into it; ``None`` for nothing.
    """

    kind: JobKind
    recipe: Recipe
    variants: int
    variant: int | None
    names: Names
    image: str
    digest: str
    resources: PodResources
    mounted: tuple[str, ...]
    fetches: bool
    patch: Object | None = None
    model: str | None = None

    @property
    def options(self) -> KubernetesOptions:
        """Options of the recipe for the cluster."""
        return self.recipe.run.kubernetes

    @property
    def last_step(self) -> str:
        """The last step of its pods."""
        return choose_last_step(self.kind, self.options)

    @property
    def fetched_model(self) -> str | None:
        """Reference of a packaged model that the first step fetches."""
        return self.model.removeprefix(OCI) if self.model and self.model.startswith(OCI) else None

    @property
    def model_path(self) -> str | None:
        """Path of the packaged model in the pod."""
        if self.fetched_model is not None:
            return f"{RUNS}/packages/{self.names.job}"
        return None if self.model is None else posixpath.join(RUNS, self.model)

    @property
    def folder(self) -> str:
        """Directory in the pod that the recipe's relative paths start from."""
        return posixpath.join(DATA, self.options.data_path or "").rstrip("/")

    @property
    def indexed(self) -> bool:
        """True if one Job runs several variants, each in a pod with a number."""
        return self.variants > 1 and self.variant is None

    @property
    def result(self) -> str:
        """Name of a pod's run on the volume, with Kubernetes' variable for the number of the pod."""
        if self.indexed:
            return f"{self.names.job}-$(JOB_COMPLETION_INDEX)"
        return self.names.job if self.variant is None else f"{self.names.job}-{self.variant}"

    @property
    def results(self) -> tuple[str, ...]:
        """Names of the runs of all variants on the volume."""
        if self.variants == 1:
            return (self.names.job,)
        return tuple(f"{self.names.job}-{number}" for number in range(self.variants))

    @property
    def keep_finished(self) -> int:
        """Seconds for which the Job stays in the cluster after its end."""
        return self.options.keep_finished or _DAY

    @property
    def grace(self) -> int:
        """Seconds from SIGTERM to SIGKILL: to write a checkpoint, and to send it."""
        options, seconds = self.options, self.resources.checkpoint_grace
        sends = options.results is not None and options.checkpoint_grace is None
        return seconds + _SEND_GRACE if sends else seconds

    @property
    def needs_network(self) -> bool:
        """True if a step connects to a service outside the cluster."""
        return self.fetches or self.last_step == "publish" or self.options.results is not None


def plan_job(kind: JobKind, file: RecipeFile, server: Version) -> JobSpec:
    """The specification of a recipe's job.

    Args:
        kind: of the job.
        file: the recipe, with the command line's options in it, and its directory.
        server: version of the API server.

    Raises:
        RecipeError: the recipe cannot run in a cluster.
    """
    recipe = file.recipe
    options = recipe.run.kubernetes
    variants = expand(recipe)
    last_step = choose_last_step(kind, options)
    model = kind.pod_model(recipe)
    _check_steps(recipe, last_step, len(variants))
    if model is None:
        for variant in variants:
            check_processes(variant.training, variant.run, in_cluster=True)
            _check_paths(variant, file.folder)
    else:
        check_model(recipe, model)
    image, digest = choose_image(kind.image, recipe.run.image)
    # JobSet validates the names of its pods, including the random suffix of five characters.
    suffix = len(f"-{NODE_JOB}-0-{options.nodes - 1}-abcde") if options.nodes > 1 else 0
    suffix = len(f"-{len(variants) - 1}") if len(variants) > 1 else suffix
    sources = {source.source for variant in variants for source in variant.data} if model is None else set()
    mounts = options.oci_data == "image_volume" and server >= IMAGE_VOLUMES
    mounted = {source.removeprefix(OCI) for source in sources if source.startswith(OCI) and mounts}
    for reference in mounted:
        parse_digest_reference(reference)
    return JobSpec(
        kind=kind,
        recipe=recipe,
        variants=len(variants),
        variant=None,
        names=choose_names(
            recipe,
            longest_suffix=suffix,
            last_step=last_step,
            of_a_service=options.nodes > 1,
            evaluates=model is not None,
        ),
        image=image,
        digest=digest,
        resources=_largest([kind.pod_resources(variant, file.folder) for variant in variants]),
        mounted=tuple(sorted(mounted)),
        fetches=(model or "").startswith(OCI)
        or (model is None and any(base_is_fetched(each.base.model, file.folder) for each in variants))
        or any(
            kind_of(source, file.folder / source).is_remote(source)
            for source in sources
            if source.removeprefix(OCI) not in mounted
        ),
        patch=None if options.patch is None else read_patch(file.folder / options.patch),
        model=model,
    )


def each_variant(plan: JobSpec) -> list[JobSpec]:
    """One specification for each variant, for servers without Indexed Jobs."""
    return [replace(plan, variant=number) for number in range(plan.variants)]


def _largest(each: Sequence[PodResources]) -> PodResources:
    """The maximum of each resource, because all pods of a Job are alike."""
    return PodResources(
        **{field.name: max(getattr(one, field.name) for one in each) for field in fields(PodResources)}
    )


def choose_last_step(kind: JobKind, options: KubernetesOptions) -> str:
    """The last step of a job: the recipe's choice, or the first step if the kind lacks that one."""
    return options.until if options.until in kind.pod_steps else kind.pod_steps[0]


def _check_steps(recipe: Recipe, last_step: str, variants: int) -> None:
    options = recipe.run.kubernetes
    if last_step == "publish" and recipe.publish is None:
        raise RecipeError(
            "The last step is publish, but the recipe has no reference to publish to.",
            where="key publish",
            fix="add publish.reference, or choose another last step: run.kubernetes.until",
        )
    if last_step == "publish" and recipe.package.quality:
        raise RecipeError(
            "A pod cannot evaluate a package before publishing it: package.quality would not be checked.",
            where="key run.kubernetes.until",
            fix="use until: package, fetch the package, evaluate it here (starfreight jobs evaluate), and "
            "publish it",
        )
    if last_step == "publish" and variants > 1:
        raise RecipeError(
            "A sweep cannot be published as a whole.",
            where="key run.kubernetes.until",
            fix="use until: package, compare the runs, and publish one of them",
        )
    if options.nodes > 1 and variants > 1:
        raise RecipeError(
            f"Each variant of a sweep runs on one node, but the recipe requests {options.nodes}.",
            where="key run.kubernetes.nodes",
            fix="submit the variants one by one, or remove nodes",
        )
    if options.nodes > 1 and last_step in ("package", "publish"):
        raise RecipeError(
            "A job on several nodes can only train.",
            where="key run.kubernetes.until",
            fix="train first: starfreight jobs run --until train; then run the same command with --nodes 1, "
            "which continues with the finished run",
        )
    in_registry = options.results is None or parse_place(options.results).scheme in REGISTRY_SCHEMES
    if options.engine == "trainer" and options.results_secret is not None and not in_registry:
        raise RecipeError(
            "A TrainJob cannot give its pods the variables of a Secret.",
            where="key run.kubernetes.results_secret",
            fix="use the identity of run.kubernetes.service_account, or remove engine to use a JobSet",
        )
    if options.nodes > 1 and options.runs_claim is None:
        raise RecipeError(
            "The pods of a job on several nodes read the run from one volume.",
            where="key run.kubernetes.runs_claim",
            fix="set it, beside results, to a PersistentVolumeClaim with ReadWriteMany",
        )
    if options.nodes == 1 and options.engine == "trainer":
        raise RecipeError(
            "A TrainJob is for several nodes.",
            where="key run.kubernetes.engine",
            fix="remove engine, or set nodes",
        )


def _paths(recipe: Recipe, folder: Path) -> Iterator[tuple[str, str]]:
    """Key and path of each file or directory in the recipe's directory that it refers to."""
    model = recipe.base.model
    fetched = is_artifact(model) or (_HUB_ID.fullmatch(model) and not (folder / model).is_dir())
    if not fetched and not model.startswith("builtin:"):
        yield "base.model", model
    for number, data in enumerate(recipe.data):
        local = kind_of(data.source, folder / data.source).local_path(data.source)
        if local is not None:
            yield f"data[{number}].source", local
        for path in (*data.filters.evaluation_sets, *filter(None, [data.filters.opt_out])):
            yield f"data[{number}].filters", path
    for path in recipe.package.license_files:
        yield "package.license_files", path


def _check_paths(recipe: Recipe, folder: Path) -> None:
    options = recipe.run.kubernetes
    start = posixpath.join(DATA, options.data_path or "")
    for key, path in _paths(recipe, folder):
        if options.data_claim is None:
            raise RecipeError(
                f"The recipe refers to {path!r}, but the pods have no data volume.",
                where=f"key {key}",
                fix="copy it to a PersistentVolumeClaim, and set run.kubernetes.data_claim",
            )
        found = posixpath.normpath(posixpath.join(start, path))
        if path.startswith("~") or (found != DATA and not found.startswith(f"{DATA}/")):
            raise RecipeError(
                f"{path!r} is outside the data volume, which pods mount at {DATA}.",
                where=f"key {key}",
                fix=f"use a path relative to {start}; run.kubernetes.data_path changes this directory",
            )
