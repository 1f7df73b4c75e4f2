"""Names of a job and its objects, and the labels to find them by.

A Job's name is the recipe's name and ten digits of a digest of its work: the identity of the recipe without
``run``, and the last step. The same work has the same name, however it is submitted, so a second submission
finds the first. (A run's id also depends on the bytes of the data, which only the pod has.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight.errors import RecipeError
from starfreight.files import canonical_json, sha256_bytes

if TYPE_CHECKING:
    from starfreight.recipe import Recipe

LABEL_RUN = "dev.starfreight/run"
"""The job's name, on all of its objects."""
LABEL_RECIPE = "dev.starfreight/recipe"
"""The first half of the recipe's digest: the whole exceeds a label's length."""
LABEL_VARIANT = "dev.starfreight/variant"
"""Number of the variant, in a sweep with a Job for each variant."""
LABEL_REACH_REGISTRY = "dev.starfreight/reach-registry"
"""``true`` on pods with a step that fetches or publishes. NetworkPolicies restrict all others."""
LABEL_REACH_PEERS = "dev.starfreight/reach-peers"
"""``true`` on the pods of a run on several nodes, which connect to each other."""
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
ANNOTATION_LEAST = "kueue.x-k8s.io/job-min-parallelism"
ANNOTATION_RESULTS = "dev.starfreight/results"
"""Address of the job's results (``run.kubernetes.results``), without credentials."""
ANNOTATION_RECIPE = "dev.starfreight/recipe-digest"
"""The whole digest of the recipe with the options of its submission."""

READER = "starfreight-reader"
"""Beginning of the names of readers (``templates/reader.yaml``), for the policy on ``pods/exec``."""

LABEL_COMPONENT = "app.kubernetes.io/component"
"""The activity of the job's kind, e.g. ``training``."""

_LONGEST = 63
"""Maximum length of a pod's host name and of a label's value; the name of a Job is used in both."""
_DIGITS = 10
_LABEL_DIGITS = 32
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True)
class Names:
    """Names of one job's objects.

    Attributes:
        job: name of the Job, JobSet or TrainJob.
        recipe_digest: digest of the recipe with its options.
        earlier_job: name of the same job by version 1 of the recipe's identity; ``None`` for a recipe with
            later keys.
        earlier_recipe_digest: digest of the recipe by version 1, in the annotation of such jobs.
    """

    job: str
    recipe_digest: str
    earlier_job: str | None = None
    earlier_recipe_digest: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Labels that distinguish this job's objects from those of other jobs."""
        digest = self.recipe_digest.removeprefix("sha256:")
        return {
            "app.kubernetes.io/instance": self.job,
            LABEL_RUN: self.job,
            LABEL_RECIPE: digest[:_LABEL_DIGITS],
        }

    @property
    def annotations(self) -> dict[str, str]:
        """Values too long for a label."""
        return {ANNOTATION_RECIPE: self.recipe_digest}

    def config_map(self, text: str) -> str:
        """Name of the ConfigMap with ``text``."""
        return f"{self.job}-recipe-{_short(sha256_bytes(text.encode()))}"


def choose_names(
    recipe: Recipe,
    *,
    longest_suffix: int,
    last_step: str | None = None,
    of_a_service: bool = False,
    evaluates: bool = False,
) -> Names:
    """The names of a recipe's job.

    Args:
        recipe: the recipe, with its sweep.
        longest_suffix: number of characters that Kubernetes appends for a pod's host name.
        last_step: of the job; ``run.kubernetes.until`` by default. Jobs that end with another step differ.
        evaluates: true if the job is another one for another ``evaluate``.
        of_a_service: true if a Service gets the name, too; it must not begin with a digit.

    Raises:
        RecipeError: the recipe's name is not valid in Kubernetes, or too long.
    """
    if not _DNS_LABEL.fullmatch(recipe.name):
        raise RecipeError(
            f"{recipe.name!r} is not a valid name in Kubernetes.",
            where="key name",
            fix="use only lower-case letters, digits and dashes, with a letter or a digit at the end",
        )
    if recipe.name.startswith(READER):
        raise RecipeError(
            f"Names that begin with {READER!r} belong to the pods of starfreight jobs fetch.",
            where="key name",
            fix="choose another name: people who submit jobs may connect to these pods",
        )
    if of_a_service and recipe.name[0].isdigit():
        raise RecipeError(
            "A job on several nodes has a Service of the same name, which must not begin with a digit.",
            where="key name",
            fix="begin it with a letter",
        )
    most = _LONGEST - longest_suffix - _DIGITS - 1
    if len(recipe.name) > most:
        raise RecipeError(
            f"The name has {len(recipe.name)} characters; a job in a cluster has room for {most}.",
            where="key name",
            fix=f"shorten it: Kubernetes allows {_LONGEST}, including a digest and the pod's number",
        )
    # Imported here because commands that only find jobs by their labels do not need recipes.
    from starfreight.recipe import earlier_recipe_digest, recipe_digest
    from starfreight.recipe.identity import identity
    from starfreight.recipe.identity_v1 import identity_v1

    step = last_step or recipe.run.kubernetes.until
    earlier = None if evaluates else identity_v1(recipe, without={"run"})
    keys = identity(recipe, without={"run"})
    if evaluates and recipe.evaluate is not None:
        keys["evaluate"] = recipe.evaluate.model_dump(mode="json", exclude_defaults=True)
    return Names(
        job=_job(recipe, keys, step),
        recipe_digest=recipe_digest(recipe),
        earlier_job=None if earlier is None else _job(recipe, earlier, step),
        earlier_recipe_digest=earlier_recipe_digest(recipe),
    )


def _job(recipe: Recipe, keys: dict[str, Any], last_step: str) -> str:
    work = sha256_bytes(canonical_json([keys, {"until": last_step}]))
    return f"{recipe.name}-{_short(work)}"


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGITS]
