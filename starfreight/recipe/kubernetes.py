"""The recipe's ``run.kubernetes``: what a cluster has to know of a job, and what it calls things."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from starfreight.recipe.values import RecipePart

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""What Kubernetes takes for a name (RFC 1123)."""


class KubernetesOptions(RecipePart):
    """What a cluster has to know of a job, and what it calls things. Used with `where: kubernetes`."""

    namespace: DnsLabel | None = None
    """Where the job is created; the kubeconfig's namespace when not given."""
