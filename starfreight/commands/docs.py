"""``starfreight docs``: the documentation of this version, without a network."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from starfreight.console import Console, human_count
from starfreight.errors import InputError
from starfreight.options import with_console

_PACKAGE = Path(__file__).parents[1]
_PAGES = _PACKAGE / "docs"
_MANIFESTS = _PACKAGE / "kubernetes"
_EXAMPLES = _PACKAGE / "examples"
_TEMPLATES = _PACKAGE / "jobs/backends/kubernetes/manifests/templates"


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in _pages() if name.startswith(incomplete)]


@click.command()
@click.argument("page", metavar="[PAGE]", required=False, shell_complete=_complete)
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write all pages, the manifests for a cluster's admin and the examples to DIR.",
)
@with_console
def docs(page: str | None, folder: Path | None, console: Console) -> None:
    """Print a page of the documentation, or list the pages.

    The pages are those of the installed version, and need no network.

    \b
        starfreight docs
        starfreight docs troubleshooting | less
        starfreight docs --to manual
    """
    if page is not None and folder is not None:
        raise click.UsageError("PAGE and --to exclude each other.")
    if folder is not None:
        written = _write(folder)
        console.result(
            {"files": [str(path) for path in written]},
            f"{human_count(len(written), 'files')} written to {folder}.",
        )
        return
    pages = _pages()
    if page is None:
        width = max(map(len, pages))
        listed = [{"page": name, "title": _title(path)} for name, path in pages.items()]
        text = "\n".join(f"{each['page']:{width}}  {each['title']}" for each in listed)
        console.result({"pages": listed}, text)
        return
    name = page.removeprefix("docs/").removesuffix(".md")
    if name not in pages:
        import difflib

        near = difflib.get_close_matches(name, pages, n=1)
        raise InputError(
            "There is no such page.",
            where=page,
            fix=(f"did you mean {near[0]!r}? Otherwise, " if near else "")
            + "for a list of the pages: starfreight docs",
        )
    text = pages[name].read_text(encoding="utf-8")
    console.result({"page": name, "title": _title(pages[name]), "text": text}, text.rstrip("\n"))


def _pages() -> dict[str, Path]:
    pages = {path.stem: path for path in _PAGES.glob("*.md")}
    return dict(sorted({**pages, "kubernetes-admin": _MANIFESTS / "README.md"}.items()))


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return next((line[2:].strip() for line in file if line.startswith("# ")), path.stem)


def _write(folder: Path) -> list[Path]:
    """Write the pages, manifests and examples, none of which may exist.

    Raises:
        InputError: a file exists, or a link leads out of the directory.
    """
    from starfreight.directories import refuse_existing
    from starfreight.files import write_bytes

    pages = sorted([*_PAGES.glob("*.md"), *_PAGES.glob("*.json")])
    sources = {Path("docs", path.name): path for path in pages}
    # A checkout's kubernetes/job is a link to the templates, which a wheel has only once.
    parts = ((_MANIFESTS, "kubernetes"), (_TEMPLATES, "kubernetes/job"), (_EXAMPLES, "examples"))
    for root, target in parts:
        for path in sorted(root.rglob("*")):
            # A checkout also has a repository for GitHub as an example.
            if path.is_file() and path.relative_to(root).parts[0] != "github":
                sources[Path(target, path.relative_to(root))] = path
    refuse_existing(folder, sources, "choose another directory")
    for name, source in sources.items():
        write_bytes(folder / name, source.read_bytes(), below=folder)
    return [folder / name for name in sources]
