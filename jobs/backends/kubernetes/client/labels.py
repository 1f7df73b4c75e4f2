"""What the client finds a job by, and what it writes on one. The templates' own labels are in ``names``."""

from __future__ import annotations

from starfreight.jobs.backends.kubernetes.manifests.names import COMMON

PAUSED = "dev.starfreight/paused"
"""An annotation of a job that was cancelled: what to put back, as JSON, when it is resumed."""

SELECTOR = ",".join(
    f"{key}={COMMON[key]}" for key in ("app.kubernetes.io/name", "app.kubernetes.io/component")
)
"""Finds all training jobs."""
