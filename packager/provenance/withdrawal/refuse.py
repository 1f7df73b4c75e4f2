"""The refusal of a withdrawn release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.provenance.withdrawal.read import Withdrawal, read_withdrawals


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
        f"{last.as_sentence()}{more}",
        where=where,
        fix=f"{instead}; --force uses this one all the same",
    )


def check_withdrawals(folder: Path, console: Console, *, force: bool) -> None:
    """Refuse to use a withdrawn package.

    Args:
        folder: its directory.
        console: gets a note instead, if forced.
        force: use it all the same.

    Raises:
        InputError: no package there.
        GateError: it is withdrawn, or evidence in it is damaged.
    """
    found = read_withdrawals(Package.load(folder), ImageLayout(folder))
    if not force:
        refuse_withdrawn(found, str(folder))
    elif found:
        console.note(f"Warning: {found[-1].as_sentence()}")
