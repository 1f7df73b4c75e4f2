"""Records without the fields of their format."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import make_format
from starfreight.jobs.data.sources import Sample
from starfreight.recipe import Data


@pytest.mark.parametrize(
    ("form", "record"),
    [
        ("fim", {"prefix": "a", "suffix": "b"}),
        ("fim", {"prefix": "a", "middle": 1, "suffix": "b"}),
        ("fim", {"prompt": "a", "response": "b"}),
        ("instruct", {"prompt": "a"}),
        ("instruct", {"prompt": "a", "response": {"b": 3}}),
        ("instruct", {"messages": [{"role": "robot", "content": "a"}]}),
        ("instruct", {"messages": [{"content": "a"}]}),
        ("instruct", "the text of a file"),
        ("instruct", {"messages": ["hello"]}),
    ],
)
def test_a_record_without_the_fields_of_its_format_is_named(
    form: Any, record: str | Mapping[str, Any], encoder: Encoder
) -> None:
    maker = make_format(Data(source="x", format=form), encoder, 64)
    sample = Sample("a.jsonl:7", record, "sha256:" + "0" * 64, 1)
    with pytest.raises(InputError) as caught:
        list(maker.examples([sample], random.Random(0)))
    assert "a.jsonl:7" in str(caught.value.where)
    assert caught.value.fix
