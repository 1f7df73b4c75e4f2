"""The refusal of a withdrawn release."""

from __future__ import annotations

from collections.abc import Sequence

from starfreight.errors import GateError
from starfreight.packager.provenance.withdrawal.read import Withdrawal


def refuse_withdrawn(withdrawals: Sequence[Withdrawal], where: str) -> None:
    """Refuse a release with a withdrawal.

    Args:
        withdrawals: all of the release.
        where: the release as the user named it.

    Raises:
        GateError: there is one.
    """
    if not withdrawals:
        return
    last = withdrawals[-1]
    more = f" There are {len(withdrawals)} withdrawals." if len(withdrawals) > 1 else ""
    instead = f"use {last.superseded_by} instead" if last.superseded_by else "use another release"
    raise GateError(
        f"{_sentence(last.in_words())}{more}",
        where=where,
        fix=f"{instead}; --force uses this one all the same",
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
