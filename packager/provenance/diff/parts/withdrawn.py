"""Withdrawals of the releases."""

from __future__ import annotations

from starfreight.console import printable
from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.withdrawal.read import read_withdrawals


class WithdrawnPart:
    """Withdrawals attached to one package alone. Their signatures are not checked."""

    name = "withdrawn"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        one, two = (
            {each.bundle: each.in_words() for each in read_withdrawals(side.package, side.layout)}
            for side in (before, after)
        )
        if one.keys() == two.keys():
            return None
        lines = [f"- {words}" for bundle, words in one.items() if bundle not in two]
        lines += [f"+ {words}" for bundle, words in two.items() if bundle not in one]
        return Section(
            tuple(map(printable, lines)), {"before": list(one.values()), "after": list(two.values())}
        )
