"""``starfreight package push-hub``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("push-hub")
@click.argument("package", type=_FOLDER)
@click.argument("repository", metavar="NAMESPACE/NAME")
@click.option(
    "--variant",
    "variants",
    metavar="TYPE",
    multiple=True,
    help="Quantization to upload (repeatable). [default: all]",
)
@click.option("--private", is_flag=True, help="If the repository is created, make it private.")
@click.option("--force", is_flag=True, help="Upload a withdrawn release all the same.")
@with_console
def push_hub_command(
    package: Path,
    repository: str,
    variants: tuple[str, ...],
    private: bool,
    force: bool,
    console: Console,
) -> None:
    """Upload a PACKAGE to a hub repository: GGUF files, README.md, licenses, provenance.

    Ollama (hf.co/NAMESPACE/NAME:Q4_K_M), llama.cpp (-hf) and LM Studio read it there, Ollama with the
    package's template, parameters and system prompt. The repository is created if missing; all files
    arrive in one commit. The same command continues an interrupted upload. As publish, it refuses a package
    that misses a quality rule (package.quality in the recipe) or a duty of its licenses, or is withdrawn.

    The token comes from HF_TOKEN or `hf auth login`, the hub from HF_ENDPOINT.

    \b
        starfreight package push-hub packages/acme-coder acme/coder
    """
    from starfreight.packager.hub.push_hub import push_hub
    from starfreight.packager.provenance.withdrawal.refuse import check_withdrawals

    check_withdrawals(package, console, force=force)
    uploaded = push_hub(package, repository, variants, private=private, console=console)
    console.result(
        uploaded.as_dict(),
        f"Uploaded {human_count(len(uploaded.files), 'files')} ({human_count(uploaded.size, 'B')}) to "
        f"{uploaded.endpoint}/{repository}.\nNext: ollama run hf.co/{repository}",
    )
