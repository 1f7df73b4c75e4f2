"""Near duplicates among records of instructions.

Different tasks often share most of their text: one long preamble, one template. A record is therefore a near
duplicate only if it resembles an earlier one as a whole, and their answers agree: they are equal, or alike in
what is left without the parts shared by many records of the source. Where an answer is short and frequent (a
label, ``yes``), this is asked of the whole records, too.

The parts shared by many are estimated from the signatures: values at the same place of many signatures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starfreight.jobs.data.filters.interface import AnswerSketch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Signatures = NDArray[np.uint32]

SAMPLED = 2000
"""Records of a source from which its shared parts are estimated: 2 MB of signatures."""
FEWEST_SHARING = 10
"""Records that have to share a value, and others with the same answer for it to be frequent."""
LEAST_SHARING = 0.05
"""The share of the records that have to share a value."""
_FEWEST_LEFT = 8
"""Values that have to be left for a comparison without the shared parts."""


@dataclass(frozen=True)
class Sketch:
    """A record in the catalogue.

    Attributes:
        number: of the record.
        signature: of its text.
        answer: its answers; ``None`` for a text that is not of instructions.
    """

    number: int
    signature: bytes
    answer: AnswerSketch | None


class SharedParts:
    """The values shared by many signatures of a source.

    Args:
        signatures: of up to :data:`SAMPLED` texts.
    """

    def __init__(self, signatures: Sequence[bytes]) -> None:
        import numpy as np

        fewest = max(FEWEST_SHARING, math.ceil(LEAST_SHARING * len(signatures)))
        self._shared: NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
        if len(signatures) >= fewest:
            values, counts = np.unique(_placed(_table(signatures)), return_counts=True)
            self._shared = values[counts >= fewest]

    def similarity_without(self, one: bytes, other: bytes) -> float:
        """Return the share of equal values among those not shared by many; 0 if too few are left."""
        import numpy as np

        first, second = _table([one, other])
        # The lower of two values is that of a shingle of either text, so this one has to be counted.
        counted = ~np.isin(_placed(np.minimum(first, second)[None, :])[0], self._shared)
        left = int(counted.sum())
        return float((first == second)[counted].sum()) / left if left >= _FEWEST_LEFT else 0.0


def first_alike(
    record: Sketch,
    others: Sequence[Sketch],
    threshold: float,
    texts: SharedParts,
    answers: SharedParts,
    *,
    frequent: bool,
) -> int | None:
    """Return the index of the first of ``others`` of which a record is a near duplicate.

    Args:
        record: of instructions.
        others: earlier texts, in order.
        threshold: the least similarity.
        texts: shared parts of the records of the source.
        answers: shared parts of their answers.
        frequent: true if many records of the source have the same answer.
    """
    import numpy as np

    table = _table([each.signature for each in others])
    alike = np.flatnonzero((table == _table([record.signature])).mean(axis=1) >= threshold)
    for index in alike.tolist():
        if _is_duplicate(record, others[index], threshold, texts, answers, frequent=frequent):
            return int(index)
    return None


def _is_duplicate(
    record: Sketch,
    other: Sketch,
    threshold: float,
    texts: SharedParts,
    answers: SharedParts,
    *,
    frequent: bool,
) -> bool:
    if record.answer is None or other.answer is None:
        return True
    one, two = record.answer, other.answer
    if one.key != two.key:
        return (
            one.signature is not None
            and two.signature is not None
            and answers.similarity_without(one.signature, two.signature) >= threshold
        )
    if one.signature is not None or not frequent:
        return True
    return texts.similarity_without(record.signature, other.signature) >= threshold


def _table(signatures: Sequence[bytes]) -> Signatures:
    import numpy as np

    return np.frombuffer(b"".join(signatures), dtype="<u4").reshape(len(signatures), -1)


def _placed(table: Signatures) -> NDArray[np.uint64]:
    """Return the values with their places, as numbers."""
    import numpy as np

    places = np.arange(table.shape[1], dtype=np.uint64) << np.uint64(32)
    placed: NDArray[np.uint64] = places[None, :] | table.astype(np.uint64)
    return placed
