"""License notices: the words that a license tells authors to put at the head of each file.

Only notices that state a license count, not texts that mention one. A file with several notices is taken to
be under all of them; a person can choose one with an SPDX line.
"""

from __future__ import annotations

import re

HEAD = 8192
"""Longest head of a file, in characters."""
HEAD_LINES = 50

# The words of each notice in lower case, separated by one blank, without comment marks.
_VERSIONED = (
    ("terms of the gnu affero general public license", "AGPL"),
    ("terms of the gnu lesser general public license", "LGPL"),
    ("terms of the gnu library general public license", "LGPL"),
    ("terms of the gnu general public license", "GPL"),
    ("licensed under the gnu general public license", "GPL"),
    ("licensed under the gnu lesser general public license", "LGPL"),
    ("licensed under the gnu affero general public license", "AGPL"),
    ("licensed under the gpl", "GPL"),
    ("licensed under the lgpl", "LGPL"),
    ("licensed under the agpl", "AGPL"),
    ("released under the gpl", "GPL"),
    ("distributed under the gpl", "GPL"),
)
_OLDEST = {"AGPL": "3.0", "GPL": "2.0", "LGPL": "2.1"}
_FIXED = (
    ("terms of the mozilla public license v. 2.0", "MPL-2.0"),
    ("subject to the mozilla public license version 1.1", "MPL-1.1"),
    ("terms of the eclipse public license v. 2.0", "EPL-2.0"),
    ("terms of the eclipse public license 2.0", "EPL-2.0"),
    ("terms of the eclipse public license v2.0", "EPL-2.0"),
    ("terms of the eclipse public license v1.0", "EPL-1.0"),
    ("terms of the common development and distribution license", "CDDL-1.0"),
    ("terms of the server side public license", "SSPL-1.0"),
    ("use of this software is governed by the business source license", "BUSL-1.1"),
    ("licensed under the elastic license", "Elastic-2.0"),
    ("creative commons attribution noncommercial", "LicenseRef-CC-BY-NC"),
    ("creative commons attribution-noncommercial", "LicenseRef-CC-BY-NC"),
    ("licensed under cc by nc", "LicenseRef-CC-BY-NC"),
    ("licensed under cc-by-nc", "LicenseRef-CC-BY-NC"),
    ("proprietary and confidential", "LicenseRef-Proprietary"),
    ("confidential and proprietary", "LicenseRef-Proprietary"),
    ("unauthorized copying of this file", "LicenseRef-Proprietary"),
    ("licensed under the apache license version 2.0", "Apache-2.0"),
    ("licensed under the mit license", "MIT"),
    ("permission is hereby granted free of charge to any person obtaining a copy of this software", "MIT"),
    ("licensed under the boost software license version 1.0", "BSL-1.0"),
    ("distributed under the boost software license version 1.0", "BSL-1.0"),
)
_WORDS = ("licen", "gpl", "commons", "proprietary", "copying", "permission is", "redistribution")
"""Every notice contains one of them."""
_COMMENT_MARKS = re.compile(r"[\s#*/;,()\"'`|%!<>]+")
_VERSION = re.compile(r"(?:version|license v\.?|gpl ?v?\.?) ?([123](?:\.[01])?)\b")


def stated_licenses(head: str) -> tuple[str, ...]:
    """Return the licenses stated at the head of a file, as SPDX identifiers in alphabetical order.

    A GPL, LGPL or AGPL notice without a version is taken to be the oldest version in common use; later
    versions are included only if the notice includes them.
    """
    words = " ".join(_COMMENT_MARKS.split(head.lower()))
    if not any(word in words for word in _WORDS):
        return ()
    found = {name for text, name in _FIXED if text in words}
    for text, family in _VERSIONED:
        at = words.find(text)
        if at >= 0:
            found.add(_with_version(words[at : at + len(text) + 200], family))
    if "redistribution and use in source and binary forms" in words:
        found.add(
            "BSD-3-Clause"
            if "neither the name" in words or "names of its contributors" in words
            else "BSD-2-Clause"
        )
    return tuple(sorted(found))


def _with_version(notice: str, family: str) -> str:
    named = _VERSION.search(notice)
    version = named.group(1) if named else _OLDEST[family]
    if "." not in version:
        version += ".0"
    later = "any later version" in notice or "or later" in notice
    return f"{family}-{version}-{'or-later' if later else 'only'}"
