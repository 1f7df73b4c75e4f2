"""Files with keys, tokens or passwords in them (:mod:`starfreight.secrets`)."""

from __future__ import annotations

from starfreight.jobs.data.filters.interface import Document
from starfreight.secrets import find_secrets
from starfreight.spans import first_kind_and_line


class SecretsFilter:
    """Rejects texts with a key, a token or a password."""

    name = "secrets"

    def reject(self, document: Document) -> str | None:
        """Return the kind and the line of the first one."""
        return first_kind_and_line(document.text, find_secrets(document.text))
