"""What is rendered, decided once and passed on: names, image, resources, steps, and what comes from where."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.manifests.image import choose_image
from starfreight.jobs.backends.kubernetes.manifests.names import Names, choose_names
from starfreight.jobs.backends.kubernetes.manifests.versions import IMAGE_VOLUMES, Version
from starfreight.jobs.planning.pod import PodResources, base_is_fetched, is_fetched, plan_pod
from starfreight.recipe import Recipe, RecipeFile, expand
from starfreight.recipe.kubernetes import KubernetesOptions
from starfreight.registry import parse_digest_reference

DATA = "/data"
RUNS = "/runs"
NODE_JOB = "node"
"""What the one Job inside a JobSet is called."""

_OCI = "oci://"
_DAY = 24 * 3600
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class Order:
    """A job to be rendered.

    Attributes:
        recipe: with its sweep.
        variants: how many runs the sweep makes; one without a sweep.
        variant: the number of the only one that this Job trains, where each is a Job of its own.
        names: of its objects.
        image: by its digest.
        digest: of the image.
        resources: of each pod, enough for every variant.
        mounted: ``oci://`` sources that the kubelet mounts, without that prefix.
        fetches: whether a step before training fetches something.
    """

    recipe: Recipe
    variants: int
    variant: int | None
    names: Names
    image: str
    digest: str
    resources: PodResources
    mounted: tuple[str, ...]
    fetches: bool

    @property
    def options(self) -> KubernetesOptions:
        """What the recipe says about the cluster."""
        return self.recipe.run.kubernetes

    @property
    def folder(self) -> str:
        """Where the recipe's relative paths start in the pod."""
        return posixpath.join(DATA, self.options.data_path or "").rstrip("/")

    @property
    def indexed(self) -> bool:
        """Whether one Job trains several variants, each in a pod with a number."""
        return self.variants > 1 and self.variant is None

    @property
    def result(self) -> str:
        """What the run of a pod is called beside others, with Kubernetes' way to write the pod's number."""
        if self.indexed:
            return f"{self.names.job}-$(JOB_COMPLETION_INDEX)"
        return self.names.job if self.variant is None else f"{self.names.job}-{self.variant}"

    @property
    def keep_finished(self) -> int:
        """Seconds that the Job stays in the cluster when it has ended."""
        return self.options.keep_finished or _DAY

    @property
    def needs_network(self) -> bool:
        """Whether any step speaks to something outside the cluster."""
        return self.fetches or self.options.until == "publish"


def place_order(file: RecipeFile, server: Version) -> Order:
    """Decides what there is to decide.

    Args:
        file: the recipe, with its command line's options in it, and its folder.
        server: the version of the cluster's API server.

    Raises:
        RecipeError: the recipe cannot be a job in a cluster.
    """
    recipe = file.recipe
    options = recipe.run.kubernetes
    variants = expand(recipe)
    _check_steps(recipe, len(variants))
    for variant in variants:
        _check_paths(variant, file.folder)
    image, digest = choose_image(recipe.run.image)
    # JobSet's pods end with five more letters, as all pods do, and it wants to know that they fit.
    suffix = len(f"-{NODE_JOB}-0-{options.nodes - 1}-abcde") if options.nodes > 1 else 0
    suffix = len(f"-{len(variants) - 1}") if len(variants) > 1 else suffix
    sources = {source.source for variant in variants for source in variant.data}
    mounts = options.oci_data == "image_volume" and server >= IMAGE_VOLUMES
    mounted = {source.removeprefix(_OCI) for source in sources if source.startswith(_OCI) and mounts}
    for reference in mounted:
        parse_digest_reference(reference)
    return Order(
        recipe=recipe,
        variants=len(variants),
        variant=None,
        names=choose_names(recipe, longest_suffix=suffix, of_a_service=options.nodes > 1),
        image=image,
        digest=digest,
        resources=_most([plan_pod(variant, file.folder) for variant in variants]),
        mounted=tuple(sorted(mounted)),
        fetches=any(base_is_fetched(variant.base.model, file.folder) for variant in variants)
        or any(is_fetched(source) for source in sources if source.removeprefix(_OCI) not in mounted),
    )


def each_variant(order: Order) -> list[Order]:
    """An order for each variant alone, for servers without Indexed Jobs."""
    return [replace(order, variant=number) for number in range(order.variants)]


def _most(each: Sequence[PodResources]) -> PodResources:
    """The largest of each resource: all pods of one Job are alike."""
    return PodResources(
        **{field.name: max(getattr(one, field.name) for one in each) for field in fields(PodResources)}
    )


def _check_steps(recipe: Recipe, variants: int) -> None:
    options = recipe.run.kubernetes
    if options.until == "publish" and recipe.publish is None:
        raise RecipeError(
            "The recipe does not say where to publish.",
            where="key publish",
            fix="add publish.reference, or end with another step: run.kubernetes.until",
        )
    if options.until == "publish" and variants > 1:
        raise RecipeError(
            "A sweep is not published as a whole.",
            where="key run.kubernetes.until",
            fix="end with package, compare the runs, and publish the one that you choose",
        )
    if options.nodes > 1 and variants > 1:
        raise RecipeError(
            f"A sweep trains each variant on one node, and the recipe asks for {options.nodes}.",
            where="key run.kubernetes.nodes",
            fix="submit the variants one by one, or leave nodes out",
        )
    if options.nodes > 1 and options.until != "train":
        raise RecipeError(
            "On several nodes the job ends with training.",
            where="key run.kubernetes.until",
            fix="leave it out; then submit the recipe again with nodes: 1 and until: "
            f"{options.until}, which finds the training done and goes on from there",
        )
    if options.nodes == 1 and options.engine == "trainer":
        raise RecipeError(
            "A TrainJob is for several nodes.",
            where="key run.kubernetes.engine",
            fix="leave it out, or say how many nodes",
        )


def _paths(recipe: Recipe, folder: Path) -> Iterator[tuple[str, str]]:
    """What a recipe names in its folder, each with its key."""
    model = recipe.base.model
    on_hub = _HUB_ID.fullmatch(model) and not (folder / model).is_dir()
    if not on_hub and not model.startswith("builtin:"):
        yield "base.model", model
    for number, data in enumerate(recipe.data):
        kind, colon, rest = data.source.partition(":")
        local = rest if colon and kind == "dataset" else data.source
        if not is_fetched(data.source) and not (colon and kind == "python"):
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
                f"The recipe names {path!r}, and the pods have no volume that it could lie on.",
                where=f"key {key}",
                fix="put it on a PersistentVolumeClaim and name that in run.kubernetes.data_claim",
            )
        found = posixpath.normpath(posixpath.join(start, path))
        if path.startswith("~") or (found != DATA and not found.startswith(f"{DATA}/")):
            raise RecipeError(
                f"{path!r} leaves the volume with the data, which the pods see at {DATA}.",
                where=f"key {key}",
                fix=f"write a path below the recipe's folder, which is {start} there; data_path moves it",
            )
