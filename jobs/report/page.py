"""Self-contained HTML pages: images embedded, no requests to any server."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from starfreight.files import write_bytes

_PICTURE_LIMIT = 16 << 20


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: heading.
        head: column names; empty for a list of names and values.
        rows: cells, one per column.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Completion:
    """Completions of one place in a text.

    Attributes:
        prefix: the text before it.
        suffix: the text after it.
        expected: the text that was there.
        before: by the base model.
        after: by the tuned model.
    """

    prefix: str
    suffix: str
    expected: str
    before: str
    after: str


def write_page(
    path: Path,
    title: str,
    subtitle: str,
    tables: Sequence[Table],
    pictures: Mapping[str, Path],
    completions: Sequence[Completion] = (),
) -> None:
    """Writes a page.

    Args:
        path: the HTML file.
        title: heading.
        subtitle: line below the heading.
        tables: in order.
        pictures: PNG files by title.
        completions: of a few places.
    """
    import jinja2

    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(files("starfreight.jobs.report").joinpath("page.html.jinja").read_text(encoding="utf-8"))
    inside = {
        name: base64.b64encode(picture.read_bytes()[:_PICTURE_LIMIT]).decode()
        for name, picture in pictures.items()
    }
    text = template.render(
        title=title, subtitle=subtitle, tables=tables, pictures=inside, completions=completions
    )
    write_bytes(path, text.encode())
