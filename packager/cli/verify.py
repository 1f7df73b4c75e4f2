"""``starfreight package verify``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("verify")
@click.argument("package", type=_FOLDER)
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Public key that every manifest has to be signed with.",
)
@with_console
def verify_package(package: Path, key: Path | None, console: Console) -> None:
    """Check the digest of every file of a PACKAGE, and its evaluations against its files.

    With --key, every manifest also needs a signature of that key, about these very files. Exits 3 if a file
    is corrupt, missing or unexpected, or a signature is missing or wrong. A missed quality rule is shown;
    only publish refuses it.

    \b
        starfreight package verify packages/NAME
        starfreight package verify packages/NAME --key acme.pub
    """
    from starfreight.package_evaluations import read_evaluations
    from starfreight.packager.evaluation.gate import check_package
    from starfreight.packager.layout import verify_layout
    from starfreight.packager.provenance.signing.check_package import check_signatures
    from starfreight.packager.provenance.signing.local_key import read_public_key

    trusted = read_public_key(key) if key is not None else None
    report = verify_layout(package, console)
    signatures = check_signatures(package, trusted) if trusted is not None else None
    evaluations = len(read_evaluations(package).evaluations)
    verdict = check_package(package)
    lines = [
        f"{package} is whole: {report.files} files, {human_count(report.bytes, 'B')}, all digests match."
    ]
    if signatures is not None:
        lines.append(f"Signed with {key}: {signatures} signatures are right.")
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
        "signatures": signatures,
        "evaluations": evaluations,
        "quality": verdict.as_dict() if verdict else None,
    }
    console.result(data, "\n".join(lines))
