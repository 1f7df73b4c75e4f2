"""The card's words on licenses: use restrictions, and where the texts are."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from starfreight.licenses.expression import license_names
from starfreight.licenses.registry import canonical_name, find_license


@dataclass(frozen=True)
class Restriction:
    """A license that restricts the use of the model."""

    name: str
    url: str | None
    subjects: tuple[str, ...]
    """Some of the restricted uses, in the license's words."""


def restrictions(*licenses: str) -> tuple[Restriction, ...]:
    """The licenses among these that restrict use, each once.

    Args:
        licenses: SPDX expressions or other names, of the tuned model and of its base.
    """
    found: dict[str, Restriction] = {}
    for name in (name for expression in licenses for name in license_names(expression)):
        license = find_license(name)
        if license.restricts_use:
            key = canonical_name(name)
            found.setdefault(key, Restriction(license.name, license.url, license.restrictions))
    return tuple(found.values())


def notices(*licenses: str) -> tuple[str, ...]:
    """The sentences that these licenses prescribe, to show or to ship, each once.

    Args:
        licenses: SPDX expressions or other names, of the tuned model and of its base.
    """
    return _sentences(licenses, ("display-text", "notice-text"))


def shipped_notices(*licenses: str) -> tuple[str, ...]:
    """The sentences among them that have to be in every copy of the model."""
    return _sentences(licenses, ("notice-text",))


def _sentences(licenses: Iterable[str], checks: Collection[str]) -> tuple[str, ...]:
    names = (name for expression in licenses for name in license_names(expression))
    duties = (duty for name in names for duty in find_license(name).duties)
    return tuple(dict.fromkeys(duty.value for duty in duties if duty.value and duty.check in checks))


def license_address(name: str) -> str | None:
    """The page of a license that Starfreight knows."""
    names = license_names(name)
    return find_license(names[0]).url if len(names) == 1 else None
