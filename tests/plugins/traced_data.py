"""Training data from two sources, files of a repository and records, as a run has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starfreight.data_manifest import (
    EntryList,
    SourceSummary,
    first_line,
    json_line,
    last_lines,
    source_line,
)
from starfreight.files import sha256_bytes
from starfreight.records import FileDigest
from starfreight.swhid import content_swhid

TEXTS = {
    "src/app.py": b"print('app')\n",
    "src/held.py": b"print('held')\n",
    "setup.py": b"setup()\n",
}
RECORD = b"def record(): ...\n"
LEFT_OUT: list[dict[str, Any]] = [
    {"source": 0, "name": "vendor/lib.py", "filter": "vendored", "detail": "in vendor/"},
    {"source": 0, "name": "src/gpl.py", "filter": "license", "detail": "GPL-3.0-only"},
    {"source": 0, "name": "src/copy.py", "filter": "exact_duplicates", "detail": "src/app.py",
     "twin": {"source": 0, "name": "src/app.py"}},
    {"source": 1, "name": "pairs.jsonl:3", "filter": "license", "detail": "license unknown"},
]  # fmt: skip


def _entry(name: str, content: bytes, **facts: Any) -> bytes:
    return json_line(
        {
            "path": name, "digest": sha256_bytes(content), "size": len(content),
            "swhid": content_swhid(content), "license": "MIT", "repository": "acme/app",
            "commit": "c" * 40, "language": "Python", "split": "train", **facts,
        }
    )  # fmt: skip


def _summary(source: str, used: tuple[int, int], records: EntryList | None = None) -> SourceSummary:
    count = {"samples": used[0], "bytes": 10}
    return SourceSummary.model_validate(
        {
            "source": source, "revision": None, "format": "fim", "license": "MIT", "weight": 1.0,
            "repositories": 1, "found": 5, "train": count, "held_out": {"samples": used[1], "bytes": 1},
            "left_out": {}, "licenses": {"MIT": count}, "languages": {"Python": count},
            "replaced": {"e-mail address": 2} if records else {}, "records": records,
        }
    )  # fmt: skip


def write_data(folder: Path) -> FileDigest:
    """Writes the data directory of a run."""
    records = b"".join(
        each + b"\n"
        for each in (
            _entry("pairs.jsonl:1", b"{}", swhid=content_swhid(RECORD), license="MIT OR GPL-2.0-only",
                   repository="other/\x1b[31mred", commit=None),
            _entry("pairs.jsonl:2", b"[]", swhid=None, license=None, repository=None, split="held_out"),
        )
    )  # fmt: skip
    left_out = b"".join(
        b'{"source": %d, ' % each["source"]
        + json.dumps({k: v for k, v in each.items() if k != "source"}).encode()[1:]
        + b"\n"
        for each in LEFT_OUT
    )
    (folder / "records-1.jsonl").write_bytes(records)
    (folder / "left_out.jsonl").write_bytes(left_out)
    listed = EntryList(path="records-1.jsonl", digest=sha256_bytes(records), size=len(records), entries=2)
    files = [
        _entry(name, content, split="held_out" if "held" in name else "train")
        for name, content in TEXTS.items()
    ]
    container = json_line(
        {"path": "pairs.jsonl", "digest": sha256_bytes(b"container"), "size": 9, "split": "records"}
    )
    manifest = b"".join(
        (
            first_line(),
            source_line(_summary("git:https://me:s3cret@github.com/acme/app", (2, 1))),
            b",\n".join(files), b"\n]},\n",
            source_line(_summary("pairs.jsonl", (1, 1), listed)), container, b"\n]}\n",
            last_lines(
                EntryList(path="left_out.jsonl", digest=sha256_bytes(left_out), size=len(left_out),
                          entries=len(LEFT_OUT))
            ),
        )
    )  # fmt: skip
    (folder / "manifest.json").write_bytes(manifest)
    return FileDigest(path="data/manifest.json", digest=sha256_bytes(manifest), size=len(manifest))
