"""License texts of a package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.errors import GateError
from starfreight.license_files import find_license_texts, require_license_texts
from starfreight.licenses import license_text
from starfreight.recipe import PackageOptions

OPENRAIL = "LicenseRef-BigCode-OpenRAIL-M"
MIT = b"Copyright (c) 2026 Acme\n\nPermission is hereby granted, free of charge, to any person ...\n"


@pytest.fixture
def base(make_checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A base model without a license file."""
    return make_checkpoint(tmp_path / "base", "starcoder2", hidden=64, ffn=64, layers=1)


@pytest.mark.parametrize("name", [OPENRAIL, "bigcode-openrail-m", "Apache-2.0"])
def test_the_text_comes_with_starfreight_if_the_base_has_none(name: str, base: Path) -> None:
    text = license_text(name)
    assert require_license_texts(PackageOptions(), name, base, ()) == ((name, text),)
    (base / "LICENSE").write_bytes(b"As given.\n")
    assert require_license_texts(PackageOptions(), name, base, ()) == ((name, b"As given.\n"),)


@pytest.mark.parametrize("name", ["MIT", "LicenseRef-Acme", "LicenseRef-unknown", "NOASSERTION", "openrail"])
def test_no_other_license_gets_a_text(name: str, base: Path) -> None:
    with pytest.raises(GateError, match="is missing"):
        require_license_texts(PackageOptions(), name, base, ())


def test_a_license_of_ones_own_does_not_replace_the_bases(base: Path) -> None:
    package = PackageOptions(license="LicenseRef-Acme", license_files=("ACME",))
    found = find_license_texts(package, OPENRAIL, base, (b"Ours.\n",))
    assert found == ((OPENRAIL, license_text(OPENRAIL)), ("LicenseRef-Acme", b"Ours.\n"))


def test_a_text_of_the_recipe_has_the_name_of_the_license_it_is(base: Path) -> None:
    package = PackageOptions(license="LicenseRef-Acme", license_files=("ACME", "MIT"))
    found = find_license_texts(package, "MIT", base, (b"Ours.\n", MIT))
    assert found == (("LicenseRef-Acme", b"Ours.\n"), ("MIT", MIT))
    text = license_text(OPENRAIL)
    assert text is not None
    assert find_license_texts(package, OPENRAIL, None, (text,)) == ((OPENRAIL, text),)


def test_every_license_of_an_expression_gets_its_text(base: Path) -> None:
    found = find_license_texts(PackageOptions(), f"Apache-2.0 AND {OPENRAIL}", base, ())
    assert [name for name, _ in found] == ["Apache-2.0", OPENRAIL]


def test_the_british_spelling_is_a_license_too(base: Path) -> None:
    (base / "LICENCE.txt").write_bytes(MIT)
    assert require_license_texts(PackageOptions(), "MIT", base, ()) == (("MIT", MIT),)
