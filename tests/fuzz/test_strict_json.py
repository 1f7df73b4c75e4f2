"""JSON that every reader reads alike."""

from __future__ import annotations

import contextlib
import json

from fuzzing import as_bytes, changed_bytes, changed_json, fuzz, holds, json_values, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.strict_json import only_exact, strict_loads

VALID = {"schemaVersion": 2, "layers": [{"size": 1e3, "digest": "\u00e9"}], "a": [None, True, -0.5, "\ud83d"]}


@fuzz
@given(data=st.one_of(changed_json(VALID), changed_bytes(as_bytes(VALID)), json_values.map(as_bytes)))
def test_any_bytes(data: bytes) -> None:
    def read() -> None:
        with contextlib.suppress(ValueError):
            value = strict_loads(data)
            assert strict_loads(json.dumps(value).encode()) == value

    holds(read)


@fuzz
@given(names=st.lists(texts, max_size=8), known=st.lists(texts, max_size=8))
def test_names_that_differ_in_case(names: list[str], known: list[str]) -> None:
    def check() -> None:
        try:
            only_exact(dict.fromkeys(names), known)
        except ValueError:
            return
        folded = {each.casefold(): each for each in known}
        assert all(folded.get(name.casefold(), name) == name for name in names)

    holds(check)
