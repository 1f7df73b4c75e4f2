"""The base model's own card and notices, to ship with every model made from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starfreight.base_documents import MAX_DOCUMENTS, base_documents
from starfreight.checkpoint.files import inside
from starfreight.console import Console, human_count
from starfreight.errors import InputError
from starfreight.files import read_limited
from starfreight.licenses.registry import contains_all
from starfreight.packager.layout.write_package import DocumentText
from starfreight.packager.model_description import LicenseText
from starfreight.registry.manifests import MAX_MANIFEST_BYTES

_LONGEST_NOTICE = 4000
"""Bytes of a license text that may be a notice."""
MAX_DOCUMENT_BYTES = MAX_MANIFEST_BYTES
"""The largest text that every reader of packages takes."""


def document_texts(base: Path, console: Console) -> tuple[DocumentText, ...]:
    """The documents of a base model, byte for byte as they are.

    Args:
        base: the base model's directory.
        console: takes a note on each document that cannot be shipped: it is not a text, too large, or a link
            that leads out of the directory.
    """
    found = base_documents(base)
    texts = []
    for document in found[:MAX_DOCUMENTS]:
        try:
            path = inside(base, document.path.name)
            data = read_limited(path, MAX_DOCUMENT_BYTES, "document")
            if (problem := _problem(data)) is not None:
                raise InputError(problem, where=str(path), fix="repair it")
            if not data.strip():
                continue
        except InputError as error:
            console.note(
                f"The base model's {document.path.name} is not in the package: {error.what} If its license "
                "asks to pass it on, repair the file and build the package again."
            )
            continue
        texts.append(DocumentText(document.name, data))
    if len(found) > MAX_DOCUMENTS:
        more = human_count(len(found) - MAX_DOCUMENTS, "more documents")
        console.note(f"Not in the package: {more} of the base model.")
    return tuple(texts)


def with_notices(
    documents: Sequence[DocumentText], sentences: Sequence[str], licenses: Sequence[LicenseText]
) -> tuple[DocumentText, ...]:
    """The documents, with one of our own if a license prescribes a sentence that no text has.

    Args:
        documents: of the base model.
        sentences: to be in every copy of the model.
        licenses: their texts only quote a sentence if they are long.
    """
    texts = [each.text.decode("utf-8", "replace") for each in documents]
    texts += [each.text.decode("utf-8", "replace") for each in licenses if len(each.text) <= _LONGEST_NOTICE]
    missing = [each for each in sentences if not any(contains_all(text, (each,)) for text in texts)]
    if not missing:
        return tuple(documents)
    taken = {each.name.casefold() for each in documents}
    name = "NOTICE" if "notice" not in taken else "NOTICE-license.txt"
    return (*documents, DocumentText(name, "".join(f"{each}\n" for each in missing).encode()))


def _problem(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "The file is not UTF-8 text."
    return "The file has NUL characters." if "\0" in text else None
