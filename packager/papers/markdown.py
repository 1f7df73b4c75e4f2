"""A paper as Markdown. Values of the record are escaped: they are text, not markup."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.console import human_count
from starfreight.packager.card.escape import inline
from starfreight.packager.papers.interface import Answer, Field
from starfreight.packager.papers.paper import NOT_RECORDED, OPEN, Paper


def as_markdown(paper: Paper) -> bytes:
    """The paper in UTF-8."""
    lines = [
        f"# {paper.form.title}: {inline(paper.model)}",
        "",
        f"Form: {paper.form.source}",
        "",
        f"{human_count(len(paper.open_fields), 'fields')} with a part for the provider, marked **{OPEN}**. "
        "This is not legal advice.",
    ]
    for section in paper.form.sections:
        lines += ["", f"## {section.number} {section.title}"]
        for field in section.fields:
            lines += ["", f"### {field.label}", "", *_field(field, paper.answer(field))]
    return ("\n".join(lines) + "\n").encode()


def _field(field: Field, answer: Answer) -> Iterator[str]:
    if len(answer.lines) == 1:
        yield inline(answer.lines[0])
    else:
        yield from (f"- {inline(line)}" for line in answer.lines)
    if answer.rows:
        if answer.lines:
            yield ""
        yield _row(answer.head)
        yield _row(("---",) * len(answer.head))
        yield from (_row(tuple(map(inline, row))) for row in answer.rows)
    if field.provider is not None:
        if answer.lines or answer.rows:
            yield ""
        yield f"> **{OPEN}:** {field.provider}"
    elif not answer.lines and not answer.rows:
        yield NOT_RECORDED


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
