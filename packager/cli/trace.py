"""``starfreight package trace``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console
from starfreight.packager.cli.trust_options import TrustChoice, trust_options


@click.command("trace")
@click.argument("package", metavar="DIR|REF")
@click.option("--file", "files", metavar="PATH", multiple=True, help="Local file (repeatable).")
@click.option(
    "--repository",
    "repositories",
    metavar="NAME",
    multiple=True,
    help="Name or address of a repository (repeatable).",
)
@click.option("--license", "licenses", metavar="ID", multiple=True, help="SPDX identifier (repeatable).")
@click.option(
    "--swhid", "swhids", metavar="ID", multiple=True, help="Software Heritage identifier (repeatable)."
)
@click.option(
    "--data-manifest",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="The run's data directory, for a package without its data manifest.",
)
@trust_options
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def trace_command(
    package: str,
    files: tuple[str, ...],
    repositories: tuple[str, ...],
    licenses: tuple[str, ...],
    swhids: tuple[str, ...],
    data_manifest: Path | None,
    trusted: TrustChoice,
    insecure: bool,
    console: Console,
) -> None:
    """Ask if something was in the training data of a model, with the evidence.

    The package is a directory or a registry reference; models are not downloaded. Every answer is one of:
    used for training, held out, left out by a filter with its reason, not in the data, or unknown. A package
    built with `data_manifest: digest` needs the run's data directory, which has to match the digest.

    The answer is as good as its evidence. Name a signer to trust (--key, or --identity and --issuer) to learn
    who vouches for it. Exits with 0 whatever the answer is.

    \b
        starfreight package trace ghcr.io/acme/coder:1.0 --file src/app.py
        starfreight package trace packages/NAME --repository github.com/acme/app --license GPL-3.0-only
        starfreight package trace packages/NAME --json \\
            --swhid swh:1:cnt:94a9ed024d3859793618152ea559a168bbcbb5e2
    """
    from starfreight.packager.provenance.trace import trace
    from starfreight.packager.provenance.trace.table import QUESTIONS
    from starfreight.packager.registry.open_package import open_package

    asked = {"file": files, "repository": repositories, "license": licenses, "swhid": swhids}
    questions = [QUESTIONS[kind](value) for kind, values in asked.items() for value in values]
    if not questions:
        raise click.UsageError("Ask something: --file, --repository, --license or --swhid.")
    trust = trusted.load()
    with open_package(package, console, insecure=insecure) as opened:
        traced = trace(opened, questions, trust, console, data_manifest)
        console.result(traced.as_dict(), traced.as_text())
