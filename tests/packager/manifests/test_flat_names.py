"""Names of license texts in manifests, of packages that somebody else wrote."""

from __future__ import annotations

import time

from starfreight.package import Descriptor, LicenseFile
from starfreight.packager.manifests.flat_names import license_names

TEXT = Descriptor(digest="sha256:" + "0" * 64, size=1, media_type="text/plain")


def licenses(*names: str) -> tuple[LicenseFile, ...]:
    return tuple(LicenseFile.model_construct(name=name, text=TEXT) for name in names)


def test_equal_names_get_numbers_whatever_their_case() -> None:
    named = license_names(licenses("MIT", "MIT", "mit", "MIT", "MIT-2", "mit-4"))
    assert [name for name, _ in named] == [
        "LICENSE", "LICENSE-MIT.txt", "LICENSE-mit-2.txt", "LICENSE-MIT-3.txt", "LICENSE-MIT-2-2.txt",
        "LICENSE-mit-4.txt",
    ]  # fmt: skip


def test_thousands_of_licenses_of_one_name_take_no_minutes() -> None:
    started = time.process_time()
    assert len({name for name, _ in license_names(licenses(*["MIT"] * 5000))}) == 5000
    assert time.process_time() - started < 5
