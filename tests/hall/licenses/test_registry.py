"""The known licenses: found under every spelling, complete, and with the right texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from starfreight.files import sha256_bytes
from starfreight.licenses import License, all_licenses, canonical_name, find_license, is_known, license_text
from starfreight.licenses.registry import has_phrases
from starfreight.licenses.spdx import is_license
from starfreight.recipe.data import PERMISSIVE
from starfreight.recipe.yaml import parse_yaml

KNOWN = Path(__file__).parents[3] / "starfreight/licenses/known"

SPELLINGS = {
    "bigcode-openrail-m": "LicenseRef-BigCode-OpenRAIL-M",
    "LicenseRef-bigcode-openrail-m": "LicenseRef-BigCode-OpenRAIL-M",
    "LicenseRef-scancode-bigcode-open-rail-m-v1": "LicenseRef-BigCode-OpenRAIL-M",
    "openrail": "LicenseRef-OpenRAIL",
    "openrail++": "LicenseRef-OpenRAIL-PlusPlus-M",
    "odc-by": "ODC-By-1.0",
    "gpl-2.0": "GPL-2.0-only",
    "gpl-2.0+": "GPL-2.0-or-later",
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "llama3.1": "LicenseRef-Llama-3.1",
    "LicenseRef-llama2": "LicenseRef-Llama-2",
    "gemma": "LicenseRef-Gemma",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "gpl-3.0": "GPL-3.0-only",
    "LGPL-2.1-OR-LATER": "LGPL-2.1-or-later",
    "other": "NOASSERTION",
    " unknown ": "NOASSERTION",
    "NONE": "LicenseRef-No-License",
    "none": "LicenseRef-No-License",
    "CC-BY-4.0+": "CC-BY-4.0",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_license_is_found_under_a_hubs_spelling(spelling: str) -> None:
    assert canonical_name(spelling) == SPELLINGS[spelling]
    assert find_license(spelling) is find_license(SPELLINGS[spelling])


@pytest.mark.parametrize("name", ["LicenseRef-Acme", "LicenseRef-MIT-like", "CDDL-1.1", "", "MIT OR", "../x"])
def test_any_other_license_is_unknown_and_keeps_its_name(name: str) -> None:
    assert not is_known(name)
    assert canonical_name(name) == name
    assert license_text(name) is None
    assert {"license-text", "judgement"} <= {duty.check for duty in find_license(name).duties}


def test_the_files_mean_the_same_to_every_parser() -> None:
    for path in KNOWN.glob("*.yaml"):
        text = path.read_text("utf-8")
        assert parse_yaml(text, path.name) == yaml.safe_load(text)


def test_no_name_belongs_to_two_licenses() -> None:
    names = [name.casefold() for each in all_licenses() for name in (*each.ids, *each.aliases)]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("license", all_licenses(), ids=lambda each: each.ids[0])
def test_identifiers_are_those_of_spdx_or_custom(license: License) -> None:
    assert all(is_license(name) for name in license.ids if name != "NOASSERTION")


def test_every_license_that_recipes_accept_by_default_is_known() -> None:
    assert [name for name in PERMISSIVE if not is_known(name)] == []


def test_texts_are_recognised_and_belong_to_a_license() -> None:
    files = {path.name for path in KNOWN.glob("*.txt")}
    assert files == {each.text for each in all_licenses() if each.text}
    for license in all_licenses():
        if license.text is not None:
            text = license_text(license.ids[0])
            assert text is not None and has_phrases(license, text.decode())
            others = [each.ids[0] for each in all_licenses() if has_phrases(each, text.decode())]
            assert others == [license.ids[0]]


def test_the_text_of_bigcodes_license_is_complete_and_stays_as_it_is() -> None:
    text = license_text("bigcode-openrail-m")
    assert text is not None
    assert sha256_bytes(text) == "sha256:a4e6c896af6c3f2b1fa9693cdc72510ab0f4f0dbc88776476634639fbe4aa8f4"
    words = text.decode()
    assert all(f"\n({letter}) " in words for letter in "abcdefghijklmn")
    assert all(f"\n{number}" in words for number in range(4, 14))


def test_the_duties_of_bigcodes_license_name_its_paragraphs() -> None:
    duties = {duty.paragraph: duty.check for duty in find_license("bigcode-openrail-m").duties}
    assert duties | {
        "5.1": "use-restrictions", "5.2(a)": "license-text", "5.2(c)": "notices", "9": "trademarks",
    } == duties  # fmt: skip
    both = [duty.check for duty in find_license("bigcode-openrail-m").duties if duty.paragraph == "5.2(b)"]
    assert both == ["base-documentation", "modifications"]


DUTY = {"paragraph": "1", "what": "Do.", "check": "judgement", "how": "do"}
GOOD: dict[str, Any] = {"ids": ["LicenseRef-X"], "name": "X", "training": "allowed", "duties": [DUTY]}
BAD: dict[str, dict[str, Any]] = {
    "no duty": {"duties": []},
    "no identifier": {"ids": []},
    "unknown key": {"licence": "X"},
    "unknown check": {"duties": [DUTY | {"check": "prayer"}]},
    "value without use": {"duties": [DUTY | {"value": "Llama"}]},
    "prefix without value": {"duties": [DUTY | {"check": "name-prefix"}]},
    "text elsewhere": {"text": "../../LICENSE.txt", "phrases": ["X"]},
    "text without phrases": {"text": "X.txt"},
    "restrictions without words": {"restricts_use": True},
    "alias of another license": {"aliases": {"mit": "MIT"}},
    "two lines": {"name": "X\nY"},
}


def test_a_good_license_file_is_read() -> None:
    assert License.model_validate_json(json.dumps(GOOD)).duties[0].how == "do"


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_license_file_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        License.model_validate_json(json.dumps(GOOD | BAD[name]))
