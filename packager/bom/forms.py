"""The forms of bills of materials: the newest is written, all are made again by ``package verify``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starfreight.packager.bom.facts import BomFacts
from starfreight.packager.bom.form_1 import FIGURES, document
from starfreight.packager.bom.values import PROPERTY
from starfreight.strict_json import strict_loads

NEWEST_FORM = 1
FORMS: dict[int, Callable[[BomFacts], bytes]] = {1: document}


def make_bom(facts: BomFacts, form: int = NEWEST_FORM) -> bytes:
    """The bill of materials of a package, as JSON. Equal facts give equal bytes.

    Raises:
        KeyError: no such form.
        ValueError: a document of the package has the name of another file.
    """
    return FORMS[form](facts)


def parse_bom(data: bytes) -> tuple[int | None, frozenset[str]]:
    """Read what the check of a bill of materials needs.

    Returns:
        Its form, ``None`` for one of another program, and the digests of the statements whose figures it has.

    Raises:
        ValueError: it is not a bill of materials.
    """
    bom = strict_loads(data)
    try:
        return _form(bom), _statements(bom)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("it lacks a part") from error


def _form(bom: Mapping[str, Any]) -> int | None:
    found = [each.get("value") for each in bom["properties"] if each.get("name") == f"{PROPERTY}bom:form"]
    return int(found[0]) if len(found) == 1 and found[0] in map(str, FORMS) else None


def _statements(bom: Mapping[str, Any]) -> frozenset[str]:
    references = bom["metadata"]["component"].get("externalReferences", [])
    return frozenset(
        "sha256:" + each["hashes"][0]["content"] for each in references if each.get("url") == FIGURES
    )
