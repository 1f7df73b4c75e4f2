"""Names of a package's files in manifests: flat, unique, and the model first.

Clients use them in different ways. podman and ``oras pull`` write each file under its title and refuse a
``/``. RamaLama, reading through podman, serves the first name in ASCII order, with no look at its ending:
the model's name begins with a digit, before ``LICENSE`` and ``README.md``. Harbor shows the files called
exactly ``LICENSE`` and ``README.md``.
"""

from __future__ import annotations

import re

from starfreight.base_documents import is_document_name
from starfreight.package import Descriptor, Document, LicenseFile
from starfreight.packager.file_names import lora_name, model_stem
from starfreight.packager.manifests.interface import ModelParts

README = "README.md"
LICENSE = "LICENSE"

_LONGEST_ID = 100
"""Characters of a license's name in a file name; file systems allow 255 in all."""


def model_name(parts: ModelParts) -> str:
    """The name of the model's file; no other name of the package is before it in ASCII order."""
    return (
        f"0-{model_stem(parts.model.name, with_adapter=parts.adapter is not None)}-{parts.quantization}.gguf"
    )


def adapter_name(parts: ModelParts) -> str:
    """The name of the adapter's file, which follows the model's."""
    return f"1-{lora_name(parts.model.name)}"


def license_names(licenses: tuple[LicenseFile, ...]) -> list[tuple[str, Descriptor]]:
    """Each license text and its name: the first is ``LICENSE``, the others ``LICENSE-<id>.txt``.

    Names are unique on file systems that ignore case, too.
    """
    named: list[tuple[str, Descriptor]] = []
    taken: set[str] = set()
    # The next number to try. Searching from 2 each time, thousands of equal names take minutes.
    numbers: dict[str, int] = {}
    for license in licenses:
        safe = _safe(license.name)
        name = LICENSE if not named else f"{LICENSE}-{safe}.txt"
        number = numbers.get(safe.casefold(), 2)
        while name.casefold() in taken:
            name = f"{LICENSE}-{safe}-{number}.txt"
            number += 1
        numbers[safe.casefold()] = number
        taken.add(name.casefold())
        named.append((name, license.text))
    return named


def document_names(documents: tuple[Document, ...]) -> list[tuple[str, Descriptor]]:
    """Each document and its name, after a check that no client takes it for another part of the package.

    Raises:
        ValueError: a document does not have the name of one.
    """
    for each in documents:
        if not is_document_name(each.name):
            raise ValueError(f"{each.name!r} is not the name of a document")
    return [(each.name, each.text) for each in documents]


def _safe(license: str) -> str:
    name = re.sub(r"[^A-Za-z0-9.+-]+", "-", license).strip(".-")
    return name[:_LONGEST_ID].strip(".-") or "other"
