"""``starfreight package press``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.console import Console, human_count
from starfreight.options import QuantizationCommand, stream_option, with_console

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("press", cls=QuantizationCommand)
@click.argument("base")
@click.option("--adapter", type=_FOLDER, default=None, help="LoRA adapter directory, to merge in.")
@click.option(
    "--quantize",
    multiple=True,
    metavar="TYPE",
    help="Quantization, one file each: Q4_K_M, Q8_0, F16 ... (repeatable).",
)
@click.option("--out", type=_FOLDER, required=True, help="Output directory.")
@click.option("--name", default=None, help="Stem of the file names. [default: the run's or the base's name]")
@click.option(
    "--merge-base",
    type=click.Choice(["original", "nf4_roundtrip"]),
    default="original",
    show_default=True,
    help="Weights to merge into: the base's own, or those after 4-bit training's rounding.",
)
@click.option(
    "--load-dtype",
    type=click.Choice(["BF16", "F32"]),
    default="BF16",
    show_default=True,
    help="Start of nf4_roundtrip: BF16 after training on a GPU, F32 on a CPU.",
)
@click.option(
    "--imatrix",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Importance matrix of the model, from llama-imatrix or a run (imatrix.gguf).",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Device to quantise on; auto uses the CPU and a GPU if there is one. The bytes are the same.",
)
@stream_option
@click.option("--lora", is_flag=True, help="Write the adapter as a LoRA file, too.")
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    default=None,
    help="Number of threads. [default: one per core]",
)
@with_console
def press_command(console: Console, **options: Any) -> None:
    """Merge, convert and quantise a BASE model in one pass.

    BASE is a directory, builtin:starter, ORGANISATION/NAME@COMMIT on the hub, or oci://HOST/NAME@sha256:...
    in a registry.

    \b
        starfreight package press starcoder2-3b --quantize Q4_K_M --quantize Q8_0 --out gguf
        starfreight package press starcoder2-3b --adapter runs/a/adapter --quantize Q4_K_M --lora --out gguf
        starfreight package press bigcode/starcoder2-15b@COMMIT --quantize Q4_K_M --stream-base --out gguf
    """
    from starfreight.packager.build.press_files import PressFilesRequest, press_files
    from starfreight.packager.hashed_file import QuantizedFile

    made = press_files(PressFilesRequest(**options), console)
    listed = [
        {
            "kind": str(file.quantization) if isinstance(file, QuantizedFile) else "LoRA",
            "path": str(file.path),
            "digest": file.digest,
            "size": file.size,
        }
        for file in made
    ]
    lines = [f"{human_count(file.size, 'B'):>9}  {file.digest}  {file.path}" for file in made]
    console.result({"files": listed}, "\n".join(lines))
