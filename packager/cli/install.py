"""``starfreight package install``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

if TYPE_CHECKING:
    from starfreight.packager.install.interface import Target

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("install")
@click.argument("model", metavar="REF|DIR")
@click.option("--ollama", metavar="URL", help="Running Ollama. [default: OLLAMA_HOST, or 127.0.0.1:11434]")
@click.option("--ollama-models", type=_FOLDER, help="Ollama's directory of models, written without a server.")
@click.option("--to", type=_FOLDER, help="Directory for plain files: GGUF, Modelfile, README, licenses.")
@click.option("--variant", metavar="TYPE", help="Quantization, such as Q4_K_M. [default: the package's]")
@click.option("--name", metavar="NAME", help="Name in Ollama. [default: REF, or the package's name]")
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@click.option("--force", is_flag=True, help="Install a withdrawn release all the same.")
@with_console
def install_command(
    model: str,
    ollama: str | None,
    ollama_models: Path | None,
    to: Path | None,
    variant: str | None,
    name: str | None,
    insecure: bool,
    force: bool,
    console: Console,
) -> None:
    """Install a model: REF in a registry, private or public, or a package's directory DIR.

    By default it is installed into the running Ollama through its API. With --ollama-models it is written to
    Ollama's directory on disk, and with --to as plain files for llama.cpp, LM Studio and `ollama create`.
    Every byte is verified; the same command continues an interrupted download. A release that was withdrawn
    (`package withdraw`) is refused with exit code 3.

    Credentials are those of `starfreight publish`: docker login, or STARFREIGHT_REGISTRY_USERNAME,
    STARFREIGHT_REGISTRY_PASSWORD and STARFREIGHT_REGISTRY_HOST.

    \b
        starfreight package install ghcr.io/acme/coder:1.0
        starfreight package install packages/acme-coder --variant Q8_0 --name coder
        starfreight package install ghcr.io/acme/coder:1.0 --to models/coder
    """
    from starfreight.packager.install import InstallRequest, install

    chosen = [each for each in (ollama, ollama_models, to) if each is not None]
    if len(chosen) > 1:
        raise click.UsageError("Choose one of --ollama, --ollama-models and --to.")
    if to is not None and name is not None:
        raise click.UsageError("--name is a name in Ollama; with --to, name the directory.")
    request = InstallRequest(model, _target(ollama, ollama_models, to), variant, name, insecure, force)
    installed = install(request, console)
    already = f", {human_count(installed.present, 'B')} already there" if installed.present else ""
    console.result(
        installed.as_dict(),
        f"Installed {installed.name} in {installed.place} ({human_count(installed.size, 'B')}{already}).\n"
        f"Next: {installed.next}",
    )


def _target(ollama: str | None, ollama_models: Path | None, to: Path | None) -> Target:
    from starfreight.packager.install.folder import Folder
    from starfreight.packager.install.ollama_address import parse_ollama_address
    from starfreight.packager.install.ollama_api import OllamaApi
    from starfreight.packager.install.ollama_store import OllamaStore

    if ollama_models is not None:
        return OllamaStore(ollama_models)
    if to is not None:
        return Folder(to)
    return OllamaApi(parse_ollama_address(ollama or os.environ.get("OLLAMA_HOST", "")))
