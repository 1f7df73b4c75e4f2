"""Ages of jobs in a cluster, for tables."""

from __future__ import annotations

import datetime

from starfreight.console import age_in_words


def age(created: str | None, now: datetime.datetime) -> str:
    """Time since the creation of an object: ``2 d``, ``3:05 h``, ``5:10 min`` or ``12 s``."""
    if not created:
        return "?"
    return age_in_words((now - datetime.datetime.fromisoformat(created)).total_seconds())
