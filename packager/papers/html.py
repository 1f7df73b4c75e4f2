"""A paper as a page."""

from __future__ import annotations

from starfreight.packager.papers.paper import NOT_RECORDED, OPEN, Paper


def as_html(paper: Paper) -> bytes:
    """The paper in UTF-8, without scripts and without anything from elsewhere."""
    from starfreight.pages.render import render_page

    return render_page(
        "starfreight.packager.papers", "page.html.jinja", paper=paper, mark=OPEN, not_recorded=NOT_RECORDED
    )
