"""``starfreight init``."""

from __future__ import annotations

import shlex
from importlib.resources import as_file, files
from pathlib import Path

import click

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.options import with_console

_SAMPLES = ("recipe.yaml", "pairs.jsonl", "code/money.py", "code/invoice.py", "code/report.py")


@click.command()
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path, file_okay=False), default=Path())
@with_console
def init(folder: Path, console: Console) -> None:
    """Write a commented recipe, its JSON Schema and sample data to DIR. [default: current directory]

    The recipe runs as it is; replace its base model and data with your own. Existing files are never
    overwritten.
    """
    from starfreight.directories import refuse_link
    from starfreight.files import write_bytes
    from starfreight.recipe.schema import SCHEMA_FILE

    with as_file(files("starfreight.commands").joinpath("sample")) as sample:
        written = {name: (sample / name).read_bytes() for name in _SAMPLES}
    written[SCHEMA_FILE.name] = SCHEMA_FILE.read_bytes()
    for name in written:
        refuse_link(folder / name, below=folder)
        if (folder / name).exists():
            raise InputError(
                "The file already exists.",
                where=str(folder / name),
                fix="choose another directory: starfreight init DIR",
            )
    for name, data in written.items():
        write_bytes(folder / name, data, below=folder)
    recipe = shlex.quote(str(folder / "recipe.yaml"))
    console.result(
        {"files": [str(folder / name) for name in written]},
        "\n".join(
            [
                *(f"Wrote {folder / name}" for name in written),
                f"Next: starfreight plan {recipe}, then starfreight run {recipe}",
            ]
        ),
    )
