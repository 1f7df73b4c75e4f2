"""What sources of records share: which are held out, and how a bad one is reported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jobs.data.sources.interface import Sample, held_out_names


def split_records(records: Iterable[tuple[str, Mapping[str, Any]]], fraction: float) -> Iterator[Sample]:
    """Samples of records, in their order; equal records always fall on the same side.

    Args:
        records: a name to report each by, and its fields.
        fraction: the part that is held out.
    """
    kept = [(name, record, _identity(record)) for name, record in records]
    apart = held_out_names(sorted({identity for _, _, identity in kept}), fraction)
    for name, record, identity in kept:
        yield Sample(name, "held_out" if identity in apart else "train", record)


def _identity(record: Mapping[str, Any]) -> str:
    # A dataset's row may hold dates or bytes, which JSON does not know; their text will do here.
    text = json.dumps(record, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
