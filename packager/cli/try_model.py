"""``starfreight try``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from starfreight.console import Console, human_count
from starfreight.options import QuantizationCommand, with_console


@click.command("try", cls=QuantizationCommand)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("place", metavar="[FILE:LINE[:COLUMN]]", required=False)
@click.option("--prompt", metavar="TEXT", help="Text to complete, or an instruction.")
@click.option(
    "--max-tokens", type=click.IntRange(1, 100_000), default=128, show_default=True,
    help="Longest completion, in tokens.",
)  # fmt: skip
@click.option(
    "--temperature", type=click.FloatRange(0, 100),
    help="Randomness; 0 takes the most likely token. [default: the package's, or 0]",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Random seed.")
@click.option(
    "--context/--no-context", default=None,
    help="Put other files of the repository before the place. [default: if the model was trained so]",
)  # fmt: skip
@click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Root of the repository. [default: the nearest directory with .git]",
)  # fmt: skip
@click.option("--quantization", metavar="TYPE", help="Variant of the package. [default: its default]")
@click.option("--force", is_flag=True, help="Use a withdrawn package all the same.")
@with_console
def try_model(
    model: Path,
    place: str | None,
    prompt: str | None,
    max_tokens: int,
    temperature: float | None,
    seed: int,
    context: bool | None,
    root: Path | None,
    quantization: str | None,
    force: bool,
    console: Console,
) -> None:
    """Complete code with a MODEL: a package, a packaged run, or a GGUF file.

    Fills in at a place in a file: at the end of LINE, or in front of its COLUMN. Without a place or a prompt,
    it reads them one after another. It needs neither Ollama nor a GPU: pip install 'starfreight[llama]'.
    A withdrawn package (`package withdraw`) is refused with exit code 3.

    \b
        starfreight try packages/acme-coder src/area.py:12
        starfreight try packages/acme-coder --prompt "def area(radius):"
        starfreight try packages/acme-coder
    """
    from starfreight.completion.completer import Choices, Completer
    from starfreight.completion.model_source import find_model
    from starfreight.completion.place import find_place
    from starfreight.packager.complete.interactive import converse, show
    from starfreight.packager.provenance.withdrawal.refuse import check_withdrawals

    if place is not None and prompt is not None:
        raise click.UsageError("A place and --prompt exclude each other.")
    if place is None and prompt is None and console.json_output:
        raise click.UsageError("--json needs a place or --prompt.")
    cursor = find_place(place) if place is not None else None
    source = find_model(model, quantization)
    if source.package is not None:
        check_withdrawals(source.package, console, force=force)
    choices = Choices(max_tokens, temperature, seed, context, root)
    with Completer(source, choices) as loaded:
        if cursor is None and prompt is None:
            converse(loaded, console)
            return
        pieces = loaded.fill(cursor) if cursor is not None else loaded.answer([("user", prompt or "")])
        if console.json_output:
            for _ in pieces:
                pass
        else:
            show(pieces)
            print(flush=True)
        done = loaded.last
        data: dict[str, Any] = {
            "model": source.name,
            "place": str(cursor) if cursor is not None else None,
            "completion": done.text,
            "tokens": done.tokens,
            "stop": done.stop,
            "context_files": list(done.files),
        }
        if console.json_output:
            console.result(data, done.text)
        elif done.files:
            console.note(f"With {human_count(len(done.files), 'other files')} of the repository as context.")
