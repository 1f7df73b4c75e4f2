"""Vendored code: copies of other projects, which are licensed and maintained elsewhere."""

from __future__ import annotations

import re

from starfreight.jobs.data.filters.interface import Document

# Directory names used by package managers and by convention; most are in github-linguist's vendor.yml.
_FOLDERS = frozenset({
    "3rdparty", "3rd-party", "3rd_party", "_vendor", "_vendored", "bower_components", "carthage", "deps",
    "dist-packages", "extern", "externals", "external", "godeps", "jspm_packages", "node_modules", "pods",
    "site-packages", "third-party", "third_party", "thirdparty", "vendor", "vendored", "vendors",
    "web_modules",
})  # fmt: skip
_FILES = re.compile(
    r"(?:jquery|bootstrap|angular|react(?:-dom)?|vue|d3|lodash|underscore|backbone|require|modernizr|prototype"
    r"|mootools|ember|knockout|handlebars|moment|three|socket\.io|zepto|ace|codemirror|ckeditor|tinymce)"
    r"(?:[._-](?:v?[0-9]{1,8}|min|slim|bundle|full|all|core|ui)){0,8}\.(?:js|css)"
    r"|gradlew(?:\.bat)?|mvnw(?:\.cmd)?|configure|config\.(?:guess|sub)|ltmain\.sh|install-sh|aclocal\.m4|libtool\.m4"
)


class VendoredFilter:
    """Rejects vendored files."""

    name = "vendored"

    def reject(self, document: Document) -> str | None:
        """Return the directory or file name that marks it as vendored."""
        return None if document.sample.path is None else vendored_because(document.sample.path)


def vendored_because(path: str) -> str | None:
    """Return the directory or file name that marks a path as vendored."""
    *folders, name = path.lower().split("/")
    for folder in folders:
        if folder in _FOLDERS:
            return f"in the folder {folder}"
    return f"a copy of {name}" if _FILES.fullmatch(name) else None
