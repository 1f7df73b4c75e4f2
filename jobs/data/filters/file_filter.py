"""The rule shared by filters that judge files: records pass, then the file's name decides, then its text."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod

from starfreight.jobs.data.filters.interface import Document


class FileFilter(ABC):
    """Base of a filter that rejects files by name or by content and keeps all records."""

    name: str
    file_names: re.Pattern[str]
    """Matches the whole lower-case name of a file to reject."""

    def reject(self, document: Document) -> str | None:
        """Return ``by its name``, or the reason found in the text."""
        if not isinstance(document.sample.content, str):
            return None
        path = document.sample.path
        if path is not None and self.file_names.fullmatch(path.rsplit("/", 1)[-1].lower()):
            return "by its name"
        return self.reject_text(document)

    @abstractmethod
    def reject_text(self, document: Document) -> str | None:
        """Return why the text of a file is left out; ``None`` to keep it."""
