"""Records for fill-in-the-middle: prefix, middle and suffix, each as text."""

from __future__ import annotations

from collections.abc import Mapping

from starfreight.errors import InputError
from starfreight.jobs.data.dialects.values import type_of
from starfreight.jobs.data.sources.interface import Sample

TRIPLE = ("prefix", "middle", "suffix")


def read_triple(sample: Sample) -> tuple[str, str, str]:
    """Return prefix, middle and suffix of a record.

    Raises:
        InputError: one is missing or is not text.
    """
    record = sample.content if isinstance(sample.content, Mapping) else {}
    missing = [key for key in TRIPLE if record.get(key) is None]
    if missing:
        has = ", ".join(sorted(map(str, record)))[:300] or "none"
        raise InputError(
            "A record of format fim has neither prefix, middle and suffix nor the content of a file.",
            where=sample.name,
            fix=f"add {' and '.join(missing)}, name the column with the file's text in data.columns.content, "
            f"or set data.format to instruct; its keys: {has}",
        )
    for key in TRIPLE:
        if not isinstance(record[key], str):
            raise InputError(
                f"The value of {key!r} is of type {type_of(record[key])}, not text.",
                where=sample.name,
                fix="write it as text",
            )
    prefix, middle, suffix = (str(record[key]) for key in TRIPLE)
    return prefix, middle, suffix


def check_record(sample: Sample, form: str) -> None:
    """Check a sample of a format made from files, as training will.

    Args:
        sample: a file or a record.
        form: the format: ``fim``, ``code`` or ``repository``.

    Raises:
        InputError: it is a record without a file's text; for ``fim``, also without the three parts.
    """
    if isinstance(sample.content, str):
        return
    if form == "fim":
        read_triple(sample)
        return
    has = ", ".join(sorted(map(str, sample.content)))[:300] or "none"
    raise InputError(
        f"A record of format {form} lacks the content of a file.",
        where=sample.name,
        fix=f"name its column in data.columns.content, or set data.format to another format; its keys: {has}",
    )
