"""What a recipe's data holds, what is left out of it and why, and what training will read of it."""

from __future__ import annotations

from starfreight.jobs.data.report.make import Report, make_report
from starfreight.jobs.data.report.page import render_page

__all__ = ["Report", "make_report", "render_page"]
