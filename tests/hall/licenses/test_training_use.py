"""Licenses of training data."""

from __future__ import annotations

import pytest

from starfreight.licenses.training_use import ModelUse, data_licenses, data_refusal, training_use

OPEN = ModelUse("LicenseRef-BigCode-OpenRAIL-M", chosen=False, shared=True)
PRIVATE = ModelUse("LicenseRef-BigCode-OpenRAIL-M", chosen=False, shared=False)
NONCOMMERCIAL = ModelUse("LicenseRef-BigCode-OpenRAIL-M AND CC-BY-NC-4.0", chosen=True, shared=True)
OWN = ModelUse("LicenseRef-Acme-Research", chosen=True, shared=True)
CUSTOM_BASE = ModelUse("LicenseRef-Some-Base", chosen=False, shared=True)


@pytest.mark.parametrize(
    ("license", "use"),
    [
        ("CC0-1.0", "allowed"),
        ("MIT", "attribution"),
        ("cc-by-4.0", "attribution"),
        ("MIT AND GPL-3.0-only", "same-license"),
        ("MIT OR CC-BY-NC-4.0", "attribution"),
        ("(MIT OR Apache-2.0) AND CC-BY-NC-SA-4.0", "noncommercial"),
        ("CC-BY-NC-ND-4.0", "no-derivatives"),
        ("CC-BY-NC-SA-3.0-DE", "noncommercial"),
        ("cc-by-nd", "no-derivatives"),
        ("CC-BY-3.0-US OR CC-BY-ND-3.0-DE", "attribution"),
        ("LicenseRef-Acme-NonCommercial", "noncommercial"),
        ("qwen-research", "noncommercial"),
        ("LicenseRef-Commercial", "unknown"),
        ("LicenseRef-Acme-Proprietary", "unknown"),
        ("NOASSERTION", "unknown"),
        ("LicenseRef-NoAI", "forbidden"),
        ("LicenseRef-Acme-No-ML-Training", "forbidden"),
        ("LicenseRef-not-for-AI-training", "forbidden"),
        ("NON-AI-MIT", "forbidden"),
        ("MIT AND LicenseRef-NoTraining", "forbidden"),
        ("LicenseRef-Acme-NonCommercial-NoAI", "forbidden"),
        # An unknown alternative is no choice.
        ("NOASSERTION OR CC-BY-NC-4.0", "noncommercial"),
        ("cc-by-nc-4.0 or (unknown)", "noncommercial"),
        ("(MIT AND NOASSERTION) OR CC-BY-NC-4.0", "noncommercial"),
        ("NOASSERTION WITH LLVM-exception OR CC-BY-NC-4.0", "noncommercial"),
        ("NOASSERTION OR MIT", "attribution"),
        ("NOASSERTION OR other", "unknown"),
        # NONE: there is no license.
        ("NONE", "no-permission"),
        (" none ", "no-permission"),
        ("(NONE)", "no-permission"),
        ("MIT AND NONE", "no-permission"),
        ("NONE OR NOASSERTION", "no-permission"),
        ("NONE OR MIT", "attribution"),
        # A later version, an addition that is no exception of SPDX, text that is no expression.
        ("CC-BY-NC-4.0+", "noncommercial"),
        ("GPL-2.0+", "same-license"),
        ("Apache-2.0 WITH LLVM-exception", "attribution"),
        ("Apache-2.0 WITH Commons-Clause", "unknown"),
        ("MIT WITH LicenseRef-NoAI", "forbidden"),
        ("CC-BY-NC-4.0, MIT", "noncommercial"),
        ("MIT/CC-BY-ND-4.0", "no-derivatives"),
        (" AND ".join(["CC-BY-NC-4.0", *["MIT"] * 50]), "noncommercial"),
        ("MIT, Apache-2.0", "unknown"),
        # A name with a meaning does not swallow the expression around it.
        ("CC-BY-ND-4.0 AND LicenseRef-X-NonCommercial", "no-derivatives"),
        ("MIT OR LicenseRef-X-NonCommercial", "attribution"),
        ("", "unknown"),
        ("  ", "unknown"),
        ("GFDL-1.3", "unknown"),
        # Words that only look like it.
        ("LicenseRef-Nokia-AI", "unknown"),
        ("LicenseRef-Nonprofit-AI", "unknown"),
        ("LicenseRef-Casino-ML", "unknown"),
        ("LicenseRef-No-Warranty-Training-Material", "unknown"),
    ],
)
def test_the_use_of_texts_under_a_license(license: str, use: str) -> None:
    assert training_use(license) == use


@pytest.mark.parametrize(
    ("license", "use", "refused"),
    [
        ("LicenseRef-NoAI", OPEN, True),
        ("LicenseRef-NoAI", PRIVATE, True),
        ("LicenseRef-NoAI", OWN, True),
        ("CC-BY-NC-4.0", OPEN, True),
        ("CC-BY-NC-4.0", CUSTOM_BASE, True),
        ("CC-BY-NC-4.0", PRIVATE, False),
        ("CC-BY-NC-4.0", NONCOMMERCIAL, False),
        ("CC-BY-NC-4.0", OWN, False),
        ("CC-BY-ND-4.0", OPEN, True),
        ("CC-BY-ND-4.0", NONCOMMERCIAL, True),
        ("CC-BY-ND-4.0", PRIVATE, False),
        ("NONE", OPEN, True),
        ("MIT AND NONE", OPEN, True),
        ("NONE OR MIT", OPEN, False),
        ("NONE", PRIVATE, False),
        ("NONE", OWN, False),
        ("NONE AND CC-BY-ND-4.0", OWN, True),
        ("NONE AND CC-BY-NC-4.0", ModelUse("MIT", chosen=True, shared=True), True),
        ("NONE AND CC-BY-NC-4.0", ModelUse("CC-BY-NC-4.0", chosen=False, shared=True), True),
        ("NONE OR CC-BY-NC-4.0", ModelUse("CC-BY-NC-4.0", chosen=False, shared=True), False),
        ("NOASSERTION OR CC-BY-NC-4.0", OPEN, True),
        ("LicenseRef-Acme-Proprietary", OPEN, False),
        ("NOASSERTION", OPEN, False),
        ("GPL-3.0-only", OPEN, False),
        ("MIT", OPEN, False),
    ],
)
def test_data_whose_license_forbids_a_use_is_refused(license: str, use: ModelUse, refused: bool) -> None:
    assert (data_refusal(data_licenses([("./src", {license: 3})]), use) is not None) is refused


def test_the_refusal_names_source_license_number_and_ways_out() -> None:
    found = data_licenses([("./a", {"MIT": 5, "CC-BY-NC-4.0": 1200}), ("./b", {"CC-BY-ND-4.0": None})])
    error = data_refusal(found, OPEN)
    assert error is not None and error.exit_code == 3
    assert "CC-BY-NC-4.0 forbids commercial use" in error.what and "CC-BY-ND-4.0 (./b)" in error.what
    assert error.where == "data of ./a, 1,200 texts"
    assert error.fix is not None
    assert all(way in error.fix for way in ("exclude", "package.license", "without publishing"))


def test_data_without_a_license_may_be_shared_by_their_owner_alone() -> None:
    error = data_refusal(data_licenses([("./src", {"NONE": 3})]), OPEN)
    assert error is not None and "NONE gives no permission" in error.what
    assert error.fix is not None and "if they are yours, set package.license" in error.fix


def test_names_from_a_foreign_manifest_are_fit_to_print() -> None:
    (found,) = data_licenses([("a\nVerdict: ok", {"\x1b[31mMIT\r" + "x" * 1000: 1})])
    assert found.source == "a Verdict: ok"
    assert found.license.isprintable() and len(found.license) == 200 and found.use == "unknown"
    assert training_use("\x1b[31mMIT") == "unknown"
