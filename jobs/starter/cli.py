"""``starfreight starter``: the small base model shipped with Starfreight."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console


@click.group()
def starter() -> None:
    """The small base model shipped with Starfreight."""


@starter.command("build")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("starter"),
    show_default=True,
    help="Model directory to write.",
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("starter-build"),
    show_default=True,
    help="Directory for checkpoints.",
)
@click.option("--minutes", type=click.FloatRange(min=0.1), help="Time limit for pretraining.  [default: 60]")
@click.option("--steps", type=click.IntRange(min=10), help="Number of steps of 4,096 tokens, instead.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train.",
)
@click.option(
    "--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="CPU threads to use."
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Random seed. Another seed gives another model.",
)
@with_console
def build_command(
    out: Path,
    work: Path,
    minutes: float | None,
    steps: int | None,
    device: str,
    threads: int,
    seed: int,
    console: Console,
) -> None:
    """Rebuild the starter from this Python's standard library.

    An interrupted build resumes from its last checkpoint. The same seed, steps, threads, device, Python
    and torch give the same bytes.

    \b
        starfreight starter build --out my-starter --minutes 10
    """
    if minutes is not None and steps is not None:
        raise click.UsageError("--minutes and --steps exclude each other.")
    from starfreight.jobs.protocol.stop_request import StopRequest

    stop = StopRequest()
    stop.listen()
    import torch

    from starfreight.jobs.starter.build import StarterRequest, build
    from starfreight.jobs.starter.corpus import standard_library
    from starfreight.jobs.starter.pretrain import Settings

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    request = StarterRequest(
        out=out,
        work=work,
        steps=steps,
        minutes=60.0 if minutes is None else minutes,
        settings=Settings(seed=seed, threads=threads, device=device),
        library=standard_library(),
    )
    built = build(request, console, stop)
    console.result(built, f"Starter written to {out}. Next: name it as base.model in a recipe.")
