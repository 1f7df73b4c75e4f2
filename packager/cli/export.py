"""``starfreight package export``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("export")
@click.argument("package", type=_FOLDER)
@click.argument("directory", type=_FOLDER)
@click.option(
    "--variant", "variants", metavar="TYPE", multiple=True,
    help="Quantization to write, the first one for the Modelfile (repeatable). [default: all]",
)  # fmt: skip
@with_console
def export_command(package: Path, directory: Path, variants: tuple[str, ...], console: Console) -> None:
    """Write a PACKAGE as plain files to DIRECTORY, for llama.cpp, LM Studio and `ollama create`.

    The files are each variant's GGUF, the adapter if there is one, Modelfile, README.md, LICENSE, the base
    model's card and notices (BASE_MODEL_CARD.md, NOTICE), the provenance statement and the bill of materials
    (bom.cdx.json). Every byte is verified.

    \b
        starfreight package export packages/acme-coder coder
        ollama create coder -f coder/Modelfile
    """
    from starfreight.packager.install.export import export_package

    written = export_package(package, directory, variants, console)
    console.result(
        {"directory": str(directory), "files": list(written.names), "size": written.size},
        f"Wrote {len(written.names)} files to {directory} ({human_count(written.size, 'B')}).\n"
        f"Next: ollama create NAME -f {shlex.quote(str(directory / 'Modelfile'))}",
    )
