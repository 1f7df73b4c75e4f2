"""A package on disk: an OCI image layout, and ``package.json`` beside it.

    with open_writer(folder, console) as writer:
        weights = writer.adopt(gguf, "application/octet-stream", digest=digest)
        ...
        writer.finish(package)
    attach(folder, [evidence], console)
    verify_layout(folder, console)

Every file is in ``blobs/sha256`` under its digest. ``index.json`` lists the manifests, and ``package.json``
is written last: a directory without it is unfinished.
"""

from starfreight.image_layout.index import IndexEntry, package_entries
from starfreight.image_layout.reader import ImageLayout
from starfreight.packager.layout.attach_evidence import attach
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.layout.report import Problem, VerifyReport
from starfreight.packager.layout.verify import examine_layout, verify_layout
from starfreight.packager.layout.writer import LayoutWriter, open_writer

__all__ = [
    "Evidence",
    "ImageLayout",
    "IndexEntry",
    "LayoutWriter",
    "Problem",
    "VerifyReport",
    "attach",
    "examine_layout",
    "open_writer",
    "package_entries",
    "verify_layout",
]
