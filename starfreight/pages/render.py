"""Renders pages. Everything from outside is escaped, by HTML's rules and by :func:`visible`."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starfreight.console import human_count
from starfreight.pages.visible_text import visible

if TYPE_CHECKING:
    import jinja2

_HALL = "starfreight.pages"


def render_page(package: str, template: str, /, **values: Any) -> bytes:
    """Render a page.

    Args:
        package: package with the template, e.g. ``starfreight.jobs.report``.
        template: its file name. It extends ``base.html.jinja``.
        values: for the template.

    Returns:
        The page in UTF-8. Its Content-Security-Policy allows the page's own style and nothing else.
    """
    environment = _environment(package)
    style = environment.get_template("style.css.jinja").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = environment.get_template(template).render(**values, style=style, style_digest=digest)
    return page.encode()


def _environment(package: str) -> jinja2.Environment:
    import jinja2
    import markupsafe

    def source(name: str) -> str | None:
        for owner in (package, _HALL):
            path = files(owner).joinpath(name)
            if path.is_file():
                return path.read_text(encoding="utf-8")
        return None

    def shown(value: Any) -> Any:
        # The values of macros are markup, made of text that went through here already.
        return (
            visible(value) if isinstance(value, str) and not isinstance(value, markupsafe.Markup) else value
        )

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=_number, counted=human_count, size=_size, share=_share, percent=_percent
    )
    return environment


def _number(number: int) -> str:
    return f"{number:,}"


def _size(number: int) -> str:
    return human_count(number, "B")


def _share(part: float) -> str:
    return f"{100 * part:.1f}%"


def _percent(place: float) -> str:
    """A place in a chart, as a length of SVG."""
    return f"{100 * place:.2f}%"
