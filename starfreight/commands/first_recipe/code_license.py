"""The licenses of a directory of code: LICENSE files in it and its subdirectories, and headers of files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from starfreight.console import human_count
from starfreight.errors import InputError

UNKNOWN = "unknown"
_TEXTS = (None, "Markdown", "reStructuredText", "Text", "Text only")
"""Languages of a license's text; ``None`` without a suffix."""


def is_license_text(name: str) -> bool:
    """True for ``LICENSE``, ``COPYING.txt`` and the like, but not for code such as ``license.py``."""
    from starfreight.jobs.data.languages import language_of
    from starfreight.jobs.data.repository_license import is_license_file

    return is_license_file(name) and language_of(name) in _TEXTS


def license_of_code(folder: Path, root: Path | None, headers: Counter[str]) -> tuple[str | None, str | None]:
    """The license of the code, and the place that states it: LICENSE files, then most headers.

    Args:
        folder: of the code.
        root: of the git repository around it; LICENSE files between the two count, the nearest first.
        headers: number of files by the license stated in them; the empty string for none.
    """
    here = folder.resolve()
    places = [here]
    if root is not None:
        places += [each for each in here.parents if each.is_relative_to(root)]
    for place in places:
        found = _license_in(place)
        if found is not None:
            return found, f"the LICENSE file of {place.name}"
    stated = [(name, count) for name, count in headers.most_common() if name]
    if stated and 2 * stated[0][1] > sum(headers.values()):
        count = stated[0][1]
        return stated[0][0], f"the headers of {human_count(count, 'files')}"
    return None, None


def other_licenses(folder: Path, licensed: Iterable[str], known: str | None) -> tuple[tuple[str, str], ...]:
    """The subdirectories under another license than the whole, each with it."""
    found = ((name, _license_in(folder / name) or UNKNOWN) for name in sorted(licensed))
    return tuple((name, license_name) for name, license_name in found if license_name != known)


def _license_in(directory: Path) -> str | None:
    from starfreight.files import open_regular
    from starfreight.jobs.data.repository_license import MAX_LICENSE_BYTES, repository_license

    def read(name: str) -> bytes | None:
        try:
            with open_regular(directory / name, follow=False) as stream:
                return stream.read(MAX_LICENSE_BYTES + 1)
        except (OSError, InputError):
            return None

    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
    except OSError:  # A directory around the code may be closed to this user.
        return None
    return repository_license(filter(is_license_text, names), read)
