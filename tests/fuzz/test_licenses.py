"""License expressions, notices and texts."""

from __future__ import annotations

from pathlib import Path

from fuzzing import changed_bytes, fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.jobs.data.filters.license import license_of
from starfreight.jobs.data.filters.license_notices import stated_licenses
from starfreight.jobs.data.repository_license import license_of_text, repository_license
from starfreight.licenses import find_license
from starfreight.licenses.expression import license_names
from starfreight.licenses.spdx import is_license, parse_license
from starfreight.licenses.training_use import training_use
from starfreight.recipe.data import Data

LICENSE = (Path(__file__).parents[2] / "LICENSE").read_bytes()[:4000]
DATA = Data(source="./code", format="code", license="MIT")
WORDS = (
    "MIT", "Apache-2.0", "GPL-2.0-only", "LicenseRef-x", " AND ", " OR ", " WITH ", "Classpath-exception-2.0",
    "(", ")", "+", "/", " ",
    "SPDX-License-Identifier: ", "\n", "Copyright (c) 2024", "licensed under the gpl", "version 3",
    "or later", "\0", "((((",
)  # fmt: skip
expressions = st.lists(st.one_of(st.sampled_from(WORDS), texts), max_size=10).map("".join)


@fuzz
@given(text=expressions)
def test_an_expression(text: str) -> None:
    holds(lambda: (parse_license(text), is_license(text)))
    holds(lambda: (training_use(text), license_names(text), find_license(text)))


@fuzz
@given(text=expressions)
def test_the_head_of_a_file(text: str) -> None:
    holds(lambda: (stated_licenses(text), license_of(text, text[:100], DATA)))


@fuzz
@given(data=changed_bytes(LICENSE), names=st.lists(texts.map("LICENSE{}".format), max_size=2))
def test_the_license_of_a_repository(data: bytes, names: list[str]) -> None:
    holds(lambda: license_of_text(data))
    holds(lambda: repository_license(["LICENSE", *names], lambda name: data))
