"""A package on disk: an OCI image layout, and ``package.json`` beside it.

    with open_writer(folder, console) as writer:
        weights = writer.adopt(gguf, "application/octet-stream", digest=digest)
        ...
        writer.finish(package)
    verify_layout(folder, console)

Every byte lies in ``blobs/sha256`` under its digest. ``index.json`` says what the manifests are, and
``package.json`` is written last, so that a folder without it is one that is not finished.
"""

from starfreight.packager.layout.index import IndexEntry, package_entries
from starfreight.packager.layout.reader import Layout
from starfreight.packager.layout.verify import Problem, VerifyReport, examine_layout, verify_layout
from starfreight.packager.layout.writer import LayoutWriter, open_writer

__all__ = [
    "IndexEntry",
    "Layout",
    "LayoutWriter",
    "Problem",
    "VerifyReport",
    "examine_layout",
    "open_writer",
    "package_entries",
    "verify_layout",
]
