"""The data report: what a recipe's data contains, what the filters leave out and why, and examples."""

from __future__ import annotations

from starfreight.jobs.data.report.data_report import DataReport, build_data_report
from starfreight.jobs.data.report.page import render_page

__all__ = ["DataReport", "build_data_report", "render_page"]
