"""License expressions."""

from __future__ import annotations

import pytest

from starfreight.licenses.expression import includes, is_equal, license_names


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("MIT", ("MIT",)),
        ("mit AND (Apache-2.0 OR GPL-2.0-only)", ("MIT", "Apache-2.0", "GPL-2.0-only")),
        ("GPL-2.0-only WITH Classpath-exception-2.0", ("GPL-2.0-only",)),
        ("Apache-2.0 WITH Commons-Clause", ("Apache-2.0", "Commons-Clause")),
        ("MIT OR (NOASSERTION AND ISC)", ("MIT", "NOASSERTION", "ISC")),
        ("openrail++", ("openrail++",)),
        ("MIT or so they say", ("MIT or so they say",)),
        ("(" * 300, ("(" * 300,)),
        ("", ("",)),
    ],
)
def test_the_licenses_in_an_expression(expression: str, names: tuple[str, ...]) -> None:
    assert license_names(expression) == names


@pytest.mark.parametrize(
    ("expression", "bound"),
    [
        ("bigcode-openrail-m", True),
        ("LicenseRef-BigCode-OpenRAIL-M AND MIT", True),
        ("MIT OR LicenseRef-BigCode-OpenRAIL-M", False),
        ("(MIT OR Apache-2.0) AND LicenseRef-BigCode-OpenRAIL-M", True),
        ("(MIT AND LicenseRef-BigCode-OpenRAIL-M) OR LicenseRef-BigCode-OpenRAIL-M", True),
        ("MIT", False),
        ("NOASSERTION OR LicenseRef-BigCode-OpenRAIL-M", True),
        ("NONE OR LicenseRef-BigCode-OpenRAIL-M", False),
    ],
)
def test_a_choice_binds_to_neither_license(expression: str, bound: bool) -> None:
    assert includes(expression, "LicenseRef-BigCode-OpenRAIL-M") is bound


def test_expressions_are_equal_in_any_spelling() -> None:
    assert is_equal("mit AND apache-2.0", "Apache-2.0 AND MIT")
    assert not is_equal("MIT", "MIT AND Apache-2.0")
