"""What a job and its objects are called, and the labels that they are found by.

A Job is called by the recipe's name and ten digits of a digest of what it does: of the whole recipe without
its ``run``, and of the last step. So the same work has the same name wherever and with whatever options it is
submitted, and a second submission meets the first. (A run's own id depends on the data's bytes, which only
the pod sees.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starfreight.errors import RecipeError
from starfreight.files import canonical_json, sha256_bytes

if TYPE_CHECKING:
    from starfreight.recipe import Recipe

LABEL_RUN = "dev.starfreight/run"
"""The job's name. On all of its objects, so that they are found by it."""
LABEL_RECIPE = "dev.starfreight/recipe"
"""The first half of the recipe's digest: a whole one is longer than a label may be."""
LABEL_VARIANT = "dev.starfreight/variant"
"""Which variant of a sweep, where each is a Job of its own."""
LABEL_REACH_REGISTRY = "dev.starfreight/reach-registry"
"""``true`` on pods in which a step fetches or publishes. NetworkPolicies let only those out."""
LABEL_REACH_PEERS = "dev.starfreight/reach-peers"
"""``true`` on the pods of a run on several nodes, which talk to one another."""
LABEL_QUEUE = "kueue.x-k8s.io/queue-name"
ANNOTATION_LEAST = "kueue.x-k8s.io/job-min-parallelism"
ANNOTATION_RECIPE = "dev.starfreight/recipe-digest"
"""The digest of the recipe with the options that it was submitted with, whole."""

COMMON = {
    "app.kubernetes.io/name": "starfreight",
    "app.kubernetes.io/component": "training",
    "app.kubernetes.io/managed-by": "starfreight",
}
"""The labels of all training jobs, as the templates have them."""

_LONGEST = 63
"""Of a label's value, which Kubernetes makes of a Job's name, and of a pod's host name."""
_DIGITS = 10
_LABEL_DIGITS = 32
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@dataclass(frozen=True)
class Names:
    """What one job's objects are called.

    Attributes:
        job: of the Job, JobSet or TrainJob.
        recipe_digest: of the recipe with its options.
    """

    job: str
    recipe_digest: str

    @property
    def labels(self) -> dict[str, str]:
        """What distinguishes this job's objects from those of others."""
        digest = self.recipe_digest.removeprefix("sha256:")
        return {
            "app.kubernetes.io/instance": self.job,
            LABEL_RUN: self.job,
            LABEL_RECIPE: digest[:_LABEL_DIGITS],
        }

    @property
    def annotations(self) -> dict[str, str]:
        """What is too long for a label."""
        return {ANNOTATION_RECIPE: self.recipe_digest}

    def config_map(self, text: str) -> str:
        """The name of the ConfigMap that holds ``text``."""
        return f"{self.job}-recipe-{_short(sha256_bytes(text.encode()))}"


def choose_names(recipe: Recipe, *, longest_suffix: int, of_a_service: bool = False) -> Names:
    """The names of a recipe's job.

    Args:
        recipe: with its sweep.
        longest_suffix: characters that Kubernetes adds for a pod's host name.
        of_a_service: a Service gets the name, too, and may not begin with a digit.

    Raises:
        RecipeError: the recipe's name is none that Kubernetes takes, or too long.
    """
    if not _DNS_LABEL.fullmatch(recipe.name):
        raise RecipeError(
            f"Kubernetes takes no name like {recipe.name!r}.",
            where="key name",
            fix="use lower-case letters, digits and dashes only, with a letter or a digit at the end",
        )
    if of_a_service and recipe.name[0].isdigit():
        raise RecipeError(
            "A job on several nodes has a Service of its name, which may not begin with a digit.",
            where="key name",
            fix="begin it with a letter",
        )
    most = _LONGEST - longest_suffix - _DIGITS - 1
    if len(recipe.name) > most:
        raise RecipeError(
            f"The name has {len(recipe.name)} characters, and a job in a cluster has room for {most}.",
            where="key name",
            fix=f"shorten it: Kubernetes takes {_LONGEST}, and a digest and the pod's number are added to it",
        )
    steps = {"until": recipe.run.kubernetes.until}
    # Who only looks for jobs by their labels need not load what a recipe is.
    from starfreight.recipe import recipe_digest

    work = sha256_bytes(canonical_json([recipe.model_dump(mode="json", exclude={"run"}), steps]))
    return Names(f"{recipe.name}-{_short(work)}", recipe_digest(recipe))


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGITS]
