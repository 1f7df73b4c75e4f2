"""``starfreight package papers``."""

from __future__ import annotations

from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

_FORMS = ("eu-training-summary", "eu-model-documentation")
_LARGEST = 64 << 20
"""Bytes. Larger files are models, which `package verify` hashes."""


@click.command("papers")
@click.argument("package", metavar="DIR|REF")
@click.option("--form", type=click.Choice(_FORMS), required=True, help="Form to fill.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["markdown", "html"]),
    help="Format of the document. [default: the ending of --out, or markdown]",
)
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write. [default: standard output]",
)
@click.option("--insecure", is_flag=True, help="Use plain HTTP, for a registry on this machine.")
@with_console
def papers_command(
    package: str, form: str, kind: str | None, out: Path | None, insecure: bool, console: Console
) -> None:
    """Fill an official form from the record of a package.

    eu-training-summary is the European Commission's template for the public summary of training content;
    eu-model-documentation is the model documentation form of the Code of Practice. Both state the run's
    compute against its base's, which decides who is a provider. Answers that only the provider can give, such
    as identity, use policy and energy, are left open and marked.

    The package is a directory or a registry reference; models are neither downloaded nor read. A package
    whose other parts do not fit together is refused with exit code 3. Equal packages give equal documents.

    \b
        starfreight package papers packages/NAME --form eu-training-summary --out summary.html
        starfreight package papers ghcr.io/acme/coder:1.0 --form eu-model-documentation > form.md
    """
    from starfreight.files import atomic_write, disk_errors
    from starfreight.packager.layout import verify_layout
    from starfreight.packager.papers.facts import read_facts
    from starfreight.packager.papers.html import as_html
    from starfreight.packager.papers.markdown import as_markdown
    from starfreight.packager.papers.paper import fill
    from starfreight.packager.papers.table import load_form
    from starfreight.packager.registry.open_package import open_package

    with open_package(package, console, insecure=insecure) as opened:
        # A form is filled for an authority: from no record that verify would refuse.
        verify_layout(opened.folder, console, hash_up_to=_LARGEST, placeholders=opened.placeholders)
        paper = fill(load_form(form), read_facts(opened))
    if kind is None:
        kind = "html" if out is not None and out.suffix.lower() in (".html", ".htm") else "markdown"
    document = as_html(paper) if kind == "html" else as_markdown(paper)
    if out is None:
        console.result(paper.as_dict(), document.decode().rstrip("\n"))
        return
    with disk_errors(out), atomic_write(out) as stream:
        stream.write(document)
    console.result(
        paper.as_dict() | {"file": str(out)},
        f"Written to {out}. {human_count(len(paper.open_fields), 'fields')} with a part for the provider.",
    )
