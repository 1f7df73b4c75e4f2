"""``starfreight doctor``."""

from __future__ import annotations

import click

from starfreight.console import Console
from starfreight.options import with_console


@click.command("doctor")
@click.argument("reference", required=False, metavar="[HOST/NAMESPACE/NAME:TAG]")
@click.option(
    "--check",
    "wanted",
    metavar="NAME",
    multiple=True,
    help="Check only this, and exit with 3 if it is missing or cannot pull (repeatable).",
)
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def doctor(reference: str | None, wanted: tuple[str, ...], insecure: bool, console: Console) -> int:
    """Check this machine, or who can pull a published package.

    Without an argument: Python, torch, GPU, Docker, disk, memory, registry logins, Kubernetes, Ollama, nginx
    and the sandbox of evaluations. Each line is ok, warning or missing, with the remedy.

    With a reference: sends the requests of each client (Ollama, Docker Model Runner, llama.cpp, RamaLama,
    podman, ORAS, modctl and KitOps, Kubernetes image volumes, Harbor) to the registry. Shows the command that
    pulls, or the failure and its remedy.

    Exits with 0 unless --check names something that fails.

    \b
        starfreight doctor
        starfreight doctor --check docker --check gpu
        starfreight doctor ghcr.io/acme/coder:1.0 --check ollama
    """
    if reference is None:
        return _examine_machine(wanted, console)
    return _diagnose(reference, wanted, insecure, console)


def _examine_machine(wanted: tuple[str, ...], console: Console) -> int:
    from starfreight.commands.machine.examine import examine
    from starfreight.commands.machine.table import CHECKS

    names = _chosen(wanted, [check.name for check in CHECKS])
    found = examine(tuple(check for check in CHECKS if check.name in names), console)
    console.result(found.as_dict(), found.as_text())
    return 3 if wanted and not found.complete else 0


def _diagnose(reference: str, wanted: tuple[str, ...], insecure: bool, console: Console) -> int:
    from starfreight.packager.doctor import diagnose
    from starfreight.packager.doctor.table import CLIENTS

    names = _chosen(wanted, [name for client in CLIENTS for name in client.checks])
    clients = tuple(client for client in CLIENTS if not names.isdisjoint(client.checks))
    found = diagnose(reference, insecure=insecure, console=console, clients=clients)
    console.result(found.as_dict(), found.as_text())
    return 3 if wanted and not all(verdict.pulls for verdict in found.verdicts) else 0


def _chosen(wanted: tuple[str, ...], known: list[str]) -> set[str]:
    """The known names that are wanted, in any case of letters; all without a wanted one."""
    for name in wanted:
        if name.lower() not in known:
            raise click.BadParameter(
                f"{name!r} is unknown; choose from {', '.join(known)}", param_hint="--check"
            )
    return {name.lower() for name in wanted} or set(known)
