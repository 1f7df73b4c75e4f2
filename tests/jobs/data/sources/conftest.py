"""Fixtures that read sources, and real git repositories."""

from __future__ import annotations

import functools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.jobs.data.sources import Sample, Unusable, locate_source, open_source
from starfreight.recipe import Data

Content = bytes | str | None


@pytest.fixture(scope="session")
def read_source() -> Callable[..., tuple[list[Sample], dict[str, str]]]:
    """Reads a source at a path: its samples, and the reasons of unusable files and records."""

    def read(path: Path, source: str | None = None, **rules: Any) -> tuple[list[Sample], dict[str, str]]:
        data = Data.model_validate_json(
            Data(source=source or path.name).model_copy(update=rules).model_dump_json(exclude_unset=True)
        )
        found = list(open_source(data, path).samples())
        samples = [each for each in found if isinstance(each, Sample)]
        unusable = {each.name: each.reason for each in found if isinstance(each, Unusable)}
        assert len(samples) + len(unusable) == len(found)
        assert len({each.name for each in found}) == len(found)
        return samples, unusable

    return read


@pytest.fixture(scope="session")
def write_tree() -> Callable[[Path, Mapping[str, Content]], Path]:
    """Writes files below a directory and returns it."""

    def write(folder: Path, files: Mapping[str, Content]) -> Path:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content or b"")
        return folder

    return write


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs git in a directory, with only this configuration; the cache is below ``tmp_path``."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text(
        "[user]\nname = A\nemail = a@example.org\n[init]\ndefaultBranch = main\n"
    )

    def run(folder: Path, *arguments: str, given: bytes | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=given,
            capture_output=True,
            check=True,
            env=os.environ
            | {"GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z"},
        )
        return done.stdout.decode().strip()

    return run


@pytest.fixture
def commit_tree(
    git: Callable[..., str], write_tree: Callable[[Path, Mapping[str, Content]], Path]
) -> Callable[[Path, Mapping[str, Content]], str]:
    """Commits files to a new or existing repository and returns the commit."""

    def commit(folder: Path, files: Mapping[str, Content]) -> str:
        write_tree(folder, files)
        if not (folder / ".git").exists():
            git(folder, "init", "-q")
        git(folder, "add", "-A", "-f")
        git(folder, "commit", "-q", "--allow-empty", "-m", "x")
        return git(folder, "rev-parse", "HEAD")

    return commit


@pytest.fixture(scope="session")
def read_git(
    read_source: Callable[..., tuple[list[Sample], dict[str, str]]],
) -> Callable[..., tuple[list[Sample], dict[str, str]]]:
    """Fetches a git repository at a commit and reads it."""

    def read(source: str, revision: str, folder: Path, **rules: Any) -> tuple[list[Sample], dict[str, str]]:
        path = locate_source(Data(source=f"git:{source}", revision=revision), folder, Console(quiet=True))
        return read_source(path, f"git:{source}", revision=revision, **rules)

    return read


@pytest.fixture(scope="session")
def license_texts() -> Mapping[str, str]:
    """License files with a copyright line."""
    mit = """MIT License

Copyright (c) 2020 Ann Author

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
    isc = """ISC License

Copyright 2021, Ann Author

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee
is hereby granted, provided that the above copyright notice and this permission notice appear in all
copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS
SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE
AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL DAMAGES OR ANY DAMAGES
WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE
OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS
SOFTWARE.
"""
    apache = (Path(__file__).parents[4] / "LICENSE").read_text()
    return {"MIT": mit, "ISC": isc, "Apache-2.0": apache}


@pytest.fixture
def serve_folder() -> Iterator[Callable[[Path], str]]:
    """Serves the files of a directory over HTTP and returns the address."""
    servers = []

    def serve(folder: Path) -> str:
        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
