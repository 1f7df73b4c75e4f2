"""Show a package: a directory, or a release in a registry whose models stay there.

    shown = inspect_package("ghcr.io/acme/coder:1.0", console)
    print(shown.text)

A section is a function in a file of its own, and a line in :func:`sections`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.packager.inspection.interface import Inspected, Section, Shown
from starfreight.packager.registry.open_package import Opened, open_package
from starfreight.pages.visible_text import visible

if TYPE_CHECKING:
    from starfreight.packager.provenance.recorded import Provenance
    from starfreight.packager.provenance.trust import Trust

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Inspection:
    """A package as ``package inspect`` prints it.

    Attributes:
        data: for ``--json``.
        text: for people.
    """

    data: dict[str, Any]
    text: str


def inspect_package(
    source: str, console: Console, *, trust: Trust | None = None, insecure: bool = False
) -> Inspection:
    """Read every part of a package but its models. A damaged part is named in its place.

    Args:
        source: a package's directory, or a reference to one of its manifests in a registry.
        console: shows progress.
        trust: signers, to check signatures; without any, the bundles' own claims are shown.
        insecure: use plain http for the registry.

    Raises:
        InputError: no such package, or a library that a signer needs is missing.
        GateError: the release has no record, or its bytes are not those that it names.
        ServiceError: the registry cannot be reached, refuses or keeps failing.
    """
    with open_package(source, console, insecure=insecure) as opened:
        return _inspection(opened, trust)


def sections() -> tuple[tuple[str, Section], ...]:
    """The sections in order, each with the name of its part."""
    from starfreight.packager.inspection.build import build
    from starfreight.packager.inspection.figures import figures, quality
    from starfreight.packager.inspection.model import files, licenses, model, withdrawals
    from starfreight.packager.inspection.signatures import signatures
    from starfreight.packager.inspection.template import template
    from starfreight.packager.inspection.training_data import training_data

    return (
        ("withdrawals", withdrawals), ("model", model), ("licenses", licenses), ("files", files),
        ("template", template), ("training data", training_data), ("provenance", build),
        ("signatures", signatures), ("evaluations", figures), ("quality", quality),
    )  # fmt: skip


def _inspection(opened: Opened, trust: Trust | None) -> Inspection:
    package = opened.package
    problems: list[str] = []
    inspected = _inspected(opened, trust, problems)
    lines = [f"{visible(package.title)} ({visible(package.architecture)}, {package.parameters:,} parameters)"]
    # Unknown, should the evidence be damaged.
    data: dict[str, Any] = {"package": opened.where, "manifest": opened.asked, "withdrawn": None}
    for name, section in sections():
        shown = _read(partial(section, inspected), f"The {name}", problems)
        if shown is None:
            shown = Shown("", [f"{name}: CANNOT BE READ, see the problems"])
        if shown.title and shown.lines:
            lines.append(shown.title)
        lines += [f"  {line}" for line in shown.lines]
        data |= shown.data
    if problems:
        lines += ["Problems", *(f"  {visible(each)}" for each in problems)]
    return Inspection({**data, "problems": problems}, "\n".join(lines))


def _inspected(opened: Opened, trust: Trust | None, problems: list[str]) -> Inspected:
    from starfreight.packager.provenance.trust import Trust as Signers
    from starfreight.packager.provenance.trust import verify_signatures

    package, layout = opened.package, ImageLayout(opened.folder)
    report = _read(lambda: verify_signatures(layout, package, trust or Signers()), "The signatures", problems)
    provenance = _read(lambda: _provenance(opened, layout), "The provenance statement", problems)
    return Inspected(opened.folder, package, layout, opened.where, provenance, report)


def _provenance(opened: Opened, layout: ImageLayout) -> Provenance | None:
    from starfreight.packager.provenance.compare import is_made_up
    from starfreight.packager.provenance.recorded import read_provenance, statement_limit

    data = layout.read(opened.package.provenance, statement_limit(opened.package))
    return None if is_made_up(data, opened.package) else read_provenance(opened.folder, opened.package)


def _read(read: Callable[[], _Value], part: str, problems: list[str]) -> _Value | None:
    try:
        return read()
    except GateError as error:
        problems.append(f"{part}: {error.what}")
        return None
