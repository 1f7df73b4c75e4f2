"""HTML pages in one design: the base template, its style, and charts.

A page is one file without scripts, and asks no server. Rooms add a template of their own that extends
``base.html.jinja``; :func:`render_page` makes the page.
"""

from starfreight.pages.render import render_page
from starfreight.pages.visible_text import visible

__all__ = ["render_page", "visible"]
