"""The known licenses, read from the YAML files in :mod:`starfreight.licenses.known`.

license = find_license("bigcode-openrail-m")
for duty in license.duties:
    print(duty.paragraph, duty.what)
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

from starfreight.licenses.license import License

_FOLDER = Path(__file__).with_name("known")
_OWN = "licenseref-"
_LONGEST_NAME = 200


@lru_cache(maxsize=1)
def all_licenses() -> tuple[License, ...]:
    """Every known license, in the order of the files' names."""
    import yaml

    # In C where it is there: a fifth of a second less for every command that asks for a license.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    licenses = []
    for path in sorted(_FOLDER.glob("*.yaml")):
        value = yaml.load(path.read_text("utf-8"), loader)
        licenses.append(License.model_validate_json(json.dumps(value)))
    return tuple(licenses)


def find_license(name: str) -> License:
    """The license with an identifier or a hub's spelling of one; the unknown license if there is none."""
    return _entry(name)[0]


def is_known(name: str) -> bool:
    """True if the duties of a license are known."""
    return find_license(name) is not _unknown()


def canonical_name(name: str) -> str:
    """The identifier of a license: ``LicenseRef-BigCode-OpenRAIL-M`` for ``bigcode-openrail-m``.

    Returns:
        the name itself if the license is not known.
    """
    return _entry(name)[1]


def is_same(one: str, other: str) -> bool:
    """True for two spellings of one license."""
    return canonical_name(one).casefold() == canonical_name(other).casefold()


def license_text(name: str) -> bytes | None:
    """The text of a license that comes with Starfreight; ``None`` for any other license."""
    license, identifier = _entry(name)
    if license.text is None or identifier != license.ids[0]:
        return None
    return (_FOLDER / license.text).read_bytes()


def has_phrases(license: License, text: str) -> bool:
    """True if a text is recognised as this license."""
    return bool(license.phrases) and contains_all(text, license.phrases)


def contains_all(text: str, parts: tuple[str, ...]) -> bool:
    """True if a text has all of these parts, whatever its lines, spaces, capitals and copyright signs."""
    found = plain_words(text)
    return all(plain_words(part) in found for part in parts)


def plain_words(text: str) -> str:
    """A text in lower case, with single spaces and ASCII quotation marks and copyright signs."""
    for sign, plain in (("©", "(c)"), ("“", '"'), ("”", '"'), ("’", "'")):
        text = text.replace(sign, plain)
    return " ".join(text.casefold().split())


@lru_cache(maxsize=1)
def _names() -> dict[str, tuple[License, str]]:
    names: dict[str, tuple[License, str]] = {}
    for license in all_licenses():
        for identifier in license.ids:
            names[identifier.casefold()] = (license, identifier)
        for alias, identifier in license.aliases.items():
            names.setdefault(alias.casefold(), (license, identifier))
    for name, entry in list(names.items()):
        # A hub's name as a custom SPDX name, and a custom SPDX name as a hub writes it.
        other = name.removeprefix(_OWN) if name.startswith(_OWN) else _OWN + name.replace(" ", "-")
        names.setdefault(other, entry)
    return names


@lru_cache(maxsize=1)
def _unknown() -> License:
    return next(each for each in all_licenses() if each.ids[0] == "NOASSERTION")


@lru_cache(maxsize=4096)
def _entry(name: str) -> tuple[License, str]:
    name = name.strip()
    found = _names().get(name.casefold())
    if found is None and len(name) <= _LONGEST_NAME:
        for license, pattern in _patterns():
            if pattern.fullmatch(name):
                return license, name
    if found is None and name.endswith("+"):  # SPDX: or any later version.
        license, identifier = _entry(name.rstrip("+"))
        return license, identifier if license is not _unknown() else name
    return found or (_unknown(), name)


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[License, re.Pattern[str]], ...]:
    return tuple(
        (license, re.compile(license.pattern, re.IGNORECASE))
        for license in all_licenses()
        if license.pattern is not None
    )
