"""``starfreight serve-model``."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import QuantizationCommand, with_console


@click.command("serve-model", cls=QuantizationCommand)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--host", metavar="HOST", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8012, show_default=True, help="Port; 0 for any free one."
)
@click.option(
    "--api-key", metavar="KEY", envvar="STARFREIGHT_MODEL_API_KEY",
    help="Key that clients must send. Safer in STARFREIGHT_MODEL_API_KEY, which other users cannot see.",
)  # fmt: skip
@click.option("--quantization", metavar="TYPE", help="Variant of the package. [default: its default]")
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Number of threads. [default: one per core, at most 8]"
)
@click.option("--force", is_flag=True, help="Use a withdrawn package all the same.")
@with_console
def serve_model(
    model: Path,
    host: str,
    port: int,
    api_key: str | None,
    quantization: str | None,
    threads: int | None,
    force: bool,
    console: Console,
) -> None:
    """Serve a MODEL to editors: a package, a packaged run, or a GGUF file.

    Runs llama.cpp's server (/infill, /v1/completions, /v1/chat/completions, /health) with the packaged prompt
    and parameters, and prints configurations of editors. Serves this machine only, unless --host and a key
    say otherwise. Ctrl-C ends it. Needs the extra: pip install 'starfreight[llama]'.
    A withdrawn package (`package withdraw`) is refused with exit code 3.

    \b
        starfreight serve-model packages/acme-coder
        STARFREIGHT_MODEL_API_KEY=... starfreight serve-model packages/acme-coder --host 0.0.0.0
    """
    from starfreight.completion.model_source import find_model
    from starfreight.packager.complete.editors import EDITORS
    from starfreight.packager.complete.model_server import ServerChoices, model_server, reachable
    from starfreight.packager.provenance.withdrawal.refuse import check_withdrawals

    source = find_model(model, quantization)
    if source.package is not None:
        check_withdrawals(source.package, console, force=force)
    # A signal may arrive at any time from here on, also while the model is being loaded.
    with (
        contextlib.suppress(KeyboardInterrupt),
        model_server(source, ServerChoices(host, port, api_key, threads)) as server,
    ):
        address = reachable(server.address)
        texts = {each.key: each.configuration(address, server.model) for each in EDITORS}
        lines = [
            f"{server.model} is served at {server.address}, with a context of {server.context:,} tokens."
        ]
        for each in EDITORS:
            lines += ["", f"{each.name} ({each.file}):", texts[each.key].rstrip()]
        data = {
            "address": address,
            "model": server.model,
            "context": server.context,
            "configurations": texts,
        }
        console.result(data, "\n".join(lines))
        if api_key:
            console.note("Clients must send the key. Each editor's setting for it: starfreight docs use-it")
        console.note("Ctrl-C ends the server.")
        server.process.wait()
    console.note("Stopped.")
