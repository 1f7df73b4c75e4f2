"""A local file: is it in the data, by its contents or by its path?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.packager.provenance.trace.interface import Match, Omission, Sample
from starfreight.swhid import identify_file

_CONTENTS = Match("exact", "contents")
_OTHER_CONTENTS = Match("weak", "path, with other contents")


@dataclass(frozen=True)
class FileQuestion:
    """A file on this disk.

    Attributes:
        subject: its path, as the user wrote it.
        path: its absolute path, with ``/``.
        digest: ``sha256:...`` of its bytes.
        swhid: of its bytes.
        size: in bytes.
    """

    subject: str
    path: str
    digest: str
    swhid: str
    size: int

    kind = "file"
    limits = (
        "Compared by SHA-256 and SWHID of the whole file, as it was before conversion and before secrets and "
        "personal data were replaced, and by its path inside the data. A changed or partial copy, or one "
        "inside another file, is not found. Samples left out are listed by path alone."
    )

    @classmethod
    def ask(cls, value: str) -> FileQuestion:
        """Read the file.

        Raises:
            InputError: no such regular file, or it cannot be read.
        """
        found = identify_file(Path(value))
        return cls(value, Path(os.path.abspath(value)).as_posix(), found.digest, found.swhid, found.size)  # noqa: PTH100

    @property
    def facts(self) -> Mapping[str, Any]:
        """See :attr:`Question.facts`."""
        return {"digest": self.digest, "swhid": self.swhid, "size": self.size}

    def match(self, sample: Sample) -> Match | None:
        """See :meth:`Question.match`."""
        if sample.digest == self.digest or sample.swhid == self.swhid:
            return _CONTENTS
        # A record's name is no path of a file.
        return _OTHER_CONTENTS if self._is_at(sample.name) and sample.split != "records" else None

    def match_omission(self, omission: Omission) -> Match | None:
        """See :meth:`Question.match_omission`."""
        return Match("exact", "path") if self._is_at(omission.name) else None

    def _is_at(self, name: str) -> bool:
        """True if a path in the data is the file's own, or the end of it with at least one directory."""
        own = self.subject.removeprefix("./")
        return name == own or ("/" in name and self.path.endswith("/" + name))
