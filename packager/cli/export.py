"""``starfreight package export``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("export")
@click.argument("package", metavar="DIR|REF")
@click.argument("directory", type=_FOLDER)
@click.option(
    "--variant", "variants", metavar="TYPE", multiple=True,
    help="Quantization to write, the first one for the Modelfile (repeatable). [default: all]",
)  # fmt: skip
@click.option("--only-record", is_flag=True, help="Write the record without the models; also of a REF.")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def export_command(
    package: str,
    directory: Path,
    variants: tuple[str, ...],
    only_record: bool,
    insecure: bool,
    console: Console,
) -> None:
    """Write a PACKAGE as plain files to DIRECTORY, for llama.cpp, LM Studio and `ollama create`.

    The files are each variant's GGUF, the adapter if there is one, Modelfile, README.md, LICENSE, the base
    model's card and notices (BASE_MODEL_CARD.md, NOTICE), the provenance statement and the bill of materials
    (bom.cdx.json). Every byte is verified.

    record/ holds everything but the models under plain names: statement, signatures, data manifest, licenses,
    base model's documents, figures and verdicts, manifests, with a README on each file and on verification.
    --only-record writes it alone, to an empty DIRECTORY or in the place of an earlier record.

    \b
        starfreight package export packages/acme-coder coder
        ollama create coder -f coder/Modelfile
        starfreight package export ghcr.io/acme/coder:1.0 coder-record --only-record
    """
    from starfreight.packager.registry.open_package import is_reference

    if only_record:
        if variants:
            raise click.UsageError("--only-record writes no models: leave --variant out.")
        _only_record(package, directory, insecure, console)
        return
    if is_reference(package):
        raise click.UsageError("Pull the release first: starfreight package pull; or add --only-record.")
    from starfreight.packager.install.export import export_package
    from starfreight.packager.provenance.withdrawal.refuse import check_withdrawals

    # The files may be wanted for an examination: a warning, and record/README.md begins with it.
    check_withdrawals(Path(package), console, force=True)
    written = export_package(Path(package), directory, variants, console)
    console.result(
        {"directory": str(directory), "files": list(written.names), "size": written.size},
        f"Wrote {human_count(len(written.names), 'files')} to {directory} "
        f"({human_count(written.size, 'B')}).\n"
        f"Next: ollama create NAME -f {shlex.quote(str(directory / 'Modelfile'))}",
    )


def _only_record(package: str, directory: Path, insecure: bool, console: Console) -> None:
    from starfreight.packager.record.write_record import refuse_other_directory, write_record
    from starfreight.packager.registry.open_package import open_package

    refuse_other_directory(directory)
    with open_package(package, console, insecure=insecure) as opened:
        names = write_record(opened.folder, opened.package, directory)
    console.result(
        {"directory": str(directory), "files": list(names)},
        f"Wrote {human_count(len(names), 'files')} to {directory}.\n"
        f"Next: read {shlex.quote(str(directory / 'README.md'))}",
    )
