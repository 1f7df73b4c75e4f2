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
    """Check the digest of every file of a PACKAGE, and its evaluations against its files.

    Exits 3 if a file is corrupt, missing or unexpected. A missed quality rule is shown; only publish refuses
    it.
    """
    from starfreight.package_evaluations import read_evaluations
    from starfreight.packager.evaluation.gate import check_package
    from starfreight.packager.layout import verify_layout

    report = verify_layout(package, console)
    evaluations = len(read_evaluations(package).evaluations)
    verdict = check_package(package)
    lines = [
        f"{package} is whole: {report.files} files, {human_count(report.bytes, 'B')}, all digests match."
    ]
    if evaluations:
        are = "evaluation is" if evaluations == 1 else "evaluations are"
        lines.append(f"{evaluations} {are} attached, unsigned.")
    if verdict is not None:
        lines += [f"Quality gate: {verdict.result}", *(f"  {line}" for line in verdict.as_lines())]
    data = {
        "package": str(package),
        "verified": True,
        "files": report.files,
        "bytes": report.bytes,
        "evaluations": evaluations,
        "quality": verdict.as_dict() if verdict else None,
    }
    console.result(data, "\n".join(lines))
