"""Licenses of data that bind the users of a model beside its base's license."""

from __future__ import annotations

import pytest

from starfreight.licenses.data_terms import TRAINING_DATA, data_terms, joint_license
from starfreight.licenses.expression import includes
from starfreight.licenses.spdx import is_license


@pytest.mark.parametrize(
    ("license", "terms"),
    [
        ("MIT", ()),
        ("GPL-3.0-only", ()),
        ("Artistic-2.0", ()),
        ("NOASSERTION", ()),
        ("unknown", ()),
        ("", ()),
        ("LicenseRef-scancode-public-domain", ()),
        ("LicenseRef-scancode-unknown", ()),
        ("LicenseRef-Acme", ("LicenseRef-Acme",)),
        ("Proprietary", ("LicenseRef-Proprietary",)),
        ("All rights reserved!", ("LicenseRef-All-rights-reserved",)),
        ("LicenseRef-scancode-proprietary-license", ("LicenseRef-scancode-proprietary-license",)),
        ("BUSL-1.1", ("BUSL-1.1",)),
        ("cc-by-nc-4.0", ("CC-BY-NC-4.0",)),
        ("CC-BY-ND-4.0", ("CC-BY-ND-4.0",)),
        ("MIT OR LicenseRef-Acme", ()),
        ("MIT AND LicenseRef-Acme", ("LicenseRef-Acme",)),
        ("NOASSERTION OR LicenseRef-Acme", ("LicenseRef-Acme",)),
        ("((LicenseRef-Acme)) OR unknown", ("LicenseRef-Acme",)),
        ("(NOASSERTION AND MIT) OR LicenseRef-Acme", ("LicenseRef-Acme",)),
        ("NOASSERTION AND LicenseRef-Acme", ("LicenseRef-Acme",)),
        ("NOASSERTION OR (MIT AND LicenseRef-Acme)", ("LicenseRef-Acme",)),
        ("NOASSERTION OR LicenseRef-Acme OR MIT", ()),
        ("NONE", ("LicenseRef-No-License",)),
        ("none", ("LicenseRef-No-License",)),
        ("NONE AND MIT", ("LicenseRef-No-License",)),
        ("NONE OR NOASSERTION", ("LicenseRef-No-License",)),
        ("NONE OR MIT", ()),
        ("CC-BY-NC-4.0+", ("CC-BY-NC-4.0",)),
        ("GPL-2.0+", ()),
        ("Apache-2.0 WITH LLVM-exception", ()),
        ("Apache-2.0 WITH Commons-Clause", ("LicenseRef-Commons-Clause",)),
        ("MIT OR LicenseRef-X-NonCommercial", ()),
        ("  ", ()),
        ("(GPL-2.0-only OR LicenseRef-A) AND LicenseRef-B", ("LicenseRef-B",)),
        ("\x1b[31m", ("LicenseRef-31m",)),
        ("../../etc", ("LicenseRef-etc",)),
    ],
)
def test_terms_are_licenses_that_bind_whoever_uses_the_model(license: str, terms: tuple[str, ...]) -> None:
    assert data_terms([license], "MIT") == terms
    assert is_license(joint_license("MIT", terms))


def test_the_order_and_the_spelling_of_the_data_do_not_matter() -> None:
    one = data_terms(["LicenseRef-B", "LicenseRef-A", "licenseref-a"], "MIT")
    assert one == data_terms(["LicenseRef-A", "LicenseRef-B"], "MIT") == ("LicenseRef-A", "LicenseRef-B")


def test_the_terms_of_the_base_are_not_repeated() -> None:
    assert data_terms(["bigcode-openrail-m"], "LicenseRef-BigCode-OpenRAIL-M") == ()
    assert data_terms(["LicenseRef-Acme"], "MIT AND LicenseRef-Acme") == ()
    assert data_terms(["LicenseRef-Acme"], "MIT OR LicenseRef-Acme") == ("LicenseRef-Acme",)


def test_a_choice_of_the_base_stays_a_choice() -> None:
    assert joint_license("MIT OR Apache-2.0", ("LicenseRef-A",)) == "(MIT OR Apache-2.0) AND LicenseRef-A"
    assert joint_license("MIT OR Apache-2.0", ()) == "MIT OR Apache-2.0"
    for base in ("(MIT) OR (Apache-2.0)", "(MIT AND ISC) OR Apache-2.0", "mit or apache-2.0"):
        assert joint_license(base, ("LicenseRef-A",)) == f"({base}) AND LicenseRef-A"
        assert includes(joint_license(base, ("LicenseRef-A",)), "LicenseRef-A")
    for base in ("(MIT OR Apache-2.0)", "(MIT OR ISC) AND BSD-3-Clause"):
        assert joint_license(base, ("LicenseRef-A",)) == f"{base} AND LicenseRef-A"
    assert joint_license("", ("LicenseRef-A",)) == "LicenseRef-A"


def test_too_many_terms_have_one_name() -> None:
    assert data_terms([f"LicenseRef-Department-{number}" for number in range(1000)], "MIT") == (
        TRAINING_DATA,
    )
