"""Redaction of secrets and personal data, the same for filtering and for training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from starfreight.jobs.data.filters.personal_data import find_personal_data
from starfreight.recipe.data import Filters
from starfreight.secrets import find_secrets
from starfreight.spans import replaced

_DEEPEST = 16
"""Nested objects are searched to this depth; training reads nothing below it."""


def redact(
    content: str | Mapping[str, Any], filters: Filters
) -> tuple[str | Mapping[str, Any], dict[str, int]]:
    """Replace secrets and personal data with marks where the filters are set to ``replace``.

    Args:
        content: a text, or a record, in which each text is searched by itself.
        filters: of the source.

    Returns:
        The content, in the same shape, and the number of redactions by kind, in alphabetical order.
    """
    counts: Counter[str] = Counter()
    if "replace" in (filters.secrets, filters.personal_data):
        content = _redacted(content, filters, counts, 0)
    return content, dict(sorted(counts.items()))


def _redacted(value: Any, filters: Filters, counts: Counter[str], depth: int) -> Any:
    if isinstance(value, str):
        return _text(value, filters, counts)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {key: _redacted(item, filters, counts, depth + 1) for key, item in value.items()}
    if depth < _DEEPEST and isinstance(value, (list, tuple)):
        return [_redacted(item, filters, counts, depth + 1) for item in value]
    return value


def _text(text: str, filters: Filters, counts: Counter[str]) -> str:
    # Secrets first: the password and host of a URL look like an e-mail address.
    for mode, find in ((filters.secrets, find_secrets), (filters.personal_data, find_personal_data)):
        if mode == "replace":
            spans = find(text)
            counts.update(span.kind for span in spans)
            text = replaced(text, spans)
    return text
