"""The selector of jobs, and the annotation of cancelled ones.

Labels that are rendered are in :mod:`starfreight.jobs.backends.kubernetes.manifests.names`.
"""

from __future__ import annotations

from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_RUN

PAUSED = "dev.starfreight/paused"
"""Annotation of a cancelled job: the values to restore on resume, as JSON."""

SELECTOR = f"app.kubernetes.io/name=starfreight,{LABEL_RUN}"
"""Selects jobs of every kind, but not the reader Jobs of ``jobs fetch``."""
