"""Output of image builds, and the contents of images."""

from __future__ import annotations

import io
from pathlib import Path

from fuzzing import changed_bytes, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.images.build_errors import explain
from starfreight.images.progress import BuildProgress

LOG = b"""\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#5 [linux/amd64 libraries 1/1] RUN --mount=type=bind,from=pip,source=/opt/pip,target=/mnt set -eu
#5 12.3 ERROR: Could not find a version that satisfies the requirement numpy==2.4.6
#5 ERROR: process "/bin/sh -c set -eu" did not complete successfully: exit code: 1
------
 > [libraries 1/1] RUN --mount=type=bind:
------
Dockerfile:20
  20 | >>> RUN --mount=type=bind
ERROR: failed to solve: process "/bin/sh -c set -eu" did not complete successfully: exit code: 1
"""


@fuzz
@given(data=changed_bytes(LOG))
def test_a_build_of_changed_bytes(data: bytes) -> None:
    def follow() -> None:
        progress = BuildProgress(lambda amount, what=None: None, io.BytesIO())
        for line in data.decode(errors="replace").split("\n"):
            progress(line)
        error = explain(progress.last_lines, Path("build.log"), "linux/arm64")
        assert len(error.what) < 20_000

    holds(follow)


@fuzz
@given(lines=st.lists(st.text(alphabet="#0123456789 .:[]/>|-ERORDN", max_size=60), max_size=8))
def test_a_build_of_buildkits_signs(lines: list[str]) -> None:
    holds(lambda: explain(lines, Path("build.log")))
