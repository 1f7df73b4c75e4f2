"""Bills of materials of packages from anybody, and the license names in them."""

from __future__ import annotations

import contextlib
import json
import unicodedata

from fuzzing import changed_json, fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.packager.bom.forms import parse_bom
from starfreight.packager.bom.licenses import license_choice
from starfreight.packager.bom.values import line, purl, url

BOM = {
    "bomFormat": "CycloneDX",
    "metadata": {
        "component": {
            "externalReferences": [
                {
                    "type": "quality-metrics",
                    "url": "https://starfreight.dev/predicates/evaluation/v1",
                    "hashes": [{"alg": "SHA-256", "content": "0" * 64}],
                }
            ]
        }
    },
    "properties": [{"name": "starfreight:bom:form", "value": "1"}],
}

WORDS = ("MIT", "Apache-2.0", " AND ", " OR ", " WITH ", "(", ")", "LicenseRef-", "+", "and", ":", "\x1b[31m")
names = st.lists(st.one_of(st.sampled_from(WORDS), texts), max_size=60).map("".join)


@fuzz
@given(data=changed_json(BOM))
def test_a_document(data: bytes) -> None:
    def parse() -> None:
        with contextlib.suppress(ValueError):
            parse_bom(data)

    holds(parse)


@fuzz
@given(name=names)
def test_a_value_is_clean_and_can_be_written(name: str) -> None:
    holds(
        lambda: json.dumps([license_choice(line(name)), url(name), purl(name)], ensure_ascii=False).encode()
    )
    assert not {"Cc", "Cs", "Zl", "Zp"} & {unicodedata.category(each) for each in line(name)}
