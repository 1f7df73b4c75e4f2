"""Opt-out lists."""

from __future__ import annotations

from pathlib import Path

from fuzzing import changed_bytes, fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.jobs.data.filters.opt_out import OptOutFilter

LIST = f"""\
# people who asked
acme/secret
https://github.com/acme/other.git  # a comment
git@gitlab.com:acme/third
swh:1:cnt:{"0" * 40};origin=https://example.org
SWH:1:REV:{"A" * 40}
""".encode()


@fuzz
@given(
    data=st.one_of(
        changed_bytes(LIST),
        st.lists(texts, max_size=5).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass")),
    )
)
def test_a_list(folder: Path, data: bytes) -> None:
    path = folder / "opt-out.txt"
    path.write_bytes(data)
    holds(lambda: OptOutFilter(path))
