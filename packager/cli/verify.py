"""``starfreight package verify``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("verify")
@click.argument("package", type=_FOLDER)
@with_console
def verify_package(package: Path, console: Console) -> None:
    """Check the digest of every file of a PACKAGE.

    Exits 3 if a file is corrupt, missing or unexpected.
    """
    from starfreight.packager.layout import verify_layout

    report = verify_layout(package, console)
    console.result(
        {"package": str(package), "verified": True, "files": report.files, "bytes": report.bytes},
        f"{package} is whole: {report.files} files, {human_count(report.bytes, 'B')}, all digests match.",
    )
