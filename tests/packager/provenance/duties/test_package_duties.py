"""License duties of packages, from their own files, and the gate that they are."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.errors import GateError
from starfreight.licenses import license_text
from starfreight.package import Package
from starfreight.packager.provenance.duties import DutyReport, check_license_gate, package_duties

Build = Callable[..., Path]

OPENRAIL = "LicenseRef-BigCode-OpenRAIL-M"
CARD = "# StarCoder2\n\nThe base model's own card.\n"
RESTRICTED = (
    b"Our license. You agree not to use it for exploiting, harming or attempting to exploit or harm minors; "
    b"malware; texts that do not disclaim that they are machine generated; to discriminate against anybody; "
    b"for medical advice; in the administration of justice, law enforcement, immigration or asylum.\n"
)
LLAMA = "Llama 3.1 is licensed under the Llama 3.1 Community License, Copyright © Meta Platforms, Inc. "
LLAMA += "All Rights Reserved.\n"
GOLDEN = Path(__file__).parents[3] / "golden/finished-packages"
PACKAGES = sorted(path for path in GOLDEN.iterdir() if path.is_dir())
MADE_UP = Path(__file__).parents[2] / "golden/package-v1"


def states(report: DutyReport) -> dict[str, str]:
    """State by paragraph, of the base's license."""
    return {each.paragraph: each.state for each in report.results if not each.of_data}


def unmet(folder: Path) -> list[str]:
    return [each.paragraph or each.license for each in package_duties(folder).unmet]


def test_a_model_of_starcoder2_meets_its_duties_without_any_chore(build: Build) -> None:
    folder = build("bigcode-openrail-m", files={"README.md": CARD})
    package = Package.load(folder)
    text = license_text(OPENRAIL)
    assert [each.name for each in package.licenses] == ["bigcode-openrail-m"]
    assert (folder / "blobs/sha256" / package.licenses[0].text.digest[7:]).read_bytes() == text
    report = check_license_gate(folder)
    assert states(report) == {
        "4, Attachment A": "judge", "5.1": "met", "5.2(a)": "met", "5.2(b)": "met", "5.2(c)": "met",
        "9": "met", "1(k)": "judge", "1(i)": "judge",
    }  # fmt: skip
    assert "comes with Starfreight" in " ".join(each.why for each in report.results)


def test_an_unknown_alternative_does_not_replace_the_duties_of_the_known_one(build: Build) -> None:
    assert unmet(build(f"NOASSERTION OR {OPENRAIL}", files={"LICENSE": "As is.\n"})) == ["5.2(a)", "5.2(b)"]


def test_a_base_without_a_license_may_not_be_published(build: Build) -> None:
    assert unmet(build("NONE", files={"LICENSE": "All rights reserved.\n"})) == ["no license"]


def test_a_base_without_its_card_may_not_be_published(build: Build) -> None:
    folder = build(OPENRAIL)
    assert unmet(folder) == ["5.2(b)"]
    with pytest.raises(GateError, match=r"5\.2\(b\): the base model's card is not in the package") as refused:
        check_license_gate(folder)
    assert "README.md" in str(refused.value.fix)


@pytest.mark.parametrize("license", ["MIT", "Apache-2.0", "MIT OR LicenseRef-BigCode-OpenRAIL-M"])
def test_a_weaker_license_may_not_replace_use_restrictions(license: str, build: Build) -> None:
    folder = build(OPENRAIL, files={"README.md": CARD}, texts=(b"Any text.\n",), license=license)
    assert unmet(folder) == ["5.1"]


@pytest.mark.parametrize(
    ("license", "text", "state"),
    [
        (f"MIT AND {OPENRAIL}", b"Any text.\n", "met"),
        ("LicenseRef-Acme", RESTRICTED, "met"),
        ("LicenseRef-Acme", b"Never on Sundays.\n", "judge"),
        ("openrail", b"Similar terms.\n", "judge"),
    ],
)
def test_a_license_with_the_restrictions_may_replace_it(
    license: str, text: bytes, state: str, build: Build
) -> None:
    report = check_license_gate(build(OPENRAIL, files={"README.md": CARD}, texts=(text,), license=license))
    assert states(report)["5.1"] == state
    assert states(report)["5.2(a)"] == "met"


def test_a_text_that_only_has_the_name_of_a_license_with_restrictions_is_not_it(build: Build) -> None:
    assert unmet(build(OPENRAIL, files={"README.md": CARD, "LICENSE": "Do what you like."})) == ["5.2(a)"]


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("acme-coder", "met"),
        ("acme-starcoder2", "judge"),
        ("starcoder2-3b", "unmet"),
        ("starcoder2_15b-v0.1", "unmet"),
        ("bigcode-starcoder", "unmet"),
        ("3b", "met"),
    ],
)
def test_the_licensors_own_names_are_not_ones_own(name: str, state: str, build: Build) -> None:
    assert states(package_duties(build(OPENRAIL, name=name, files={"README.md": CARD})))["9"] == state


def test_the_licensor_is_not_the_author(build: Build) -> None:
    folder = build(OPENRAIL, files={"README.md": CARD}, card={"authors": ["Acme", "BigCode"]})
    assert unmet(folder) == ["9"]


@pytest.mark.parametrize(
    "license", ["MIT", "BSD-3-Clause", "PSF-2.0", "Apache-2.0", "LicenseRef-Acme", "GPL-3.0-only"]
)
def test_a_base_with_a_license_file_is_published_as_ever(license: str, build: Build) -> None:
    check_license_gate(build(license, files={"LICENSE": "The license.\n", "NOTICE": "Notices.\n"}))


def test_the_recipes_text_does_for_a_base_without_one(build: Build) -> None:
    check_license_gate(build("MIT", texts=(b"The license.\n",)))


def test_the_bases_license_is_not_left_out_for_ones_own(build: Build) -> None:
    assert unmet(build("MIT", texts=(b"Ours.\n",), license="LicenseRef-Acme")) == ["second sentence"]


def test_the_bases_license_is_recognised_among_ones_own_files(build: Build) -> None:
    mit = b"Copyright (c) 2026 X\nPermission is hereby granted, free of charge, to any person ...\n"
    check_license_gate(build("MIT", texts=(b"Ours.\n", mit), license="LicenseRef-Acme"))


def test_a_copyleft_model_keeps_its_license(build: Build) -> None:
    given = {"files": {"LICENSE": "The GNU license.\n"}, "texts": (b"Ours.\n",)}
    assert unmet(build("GPL-3.0-only", license="Apache-2.0", **given)) == ["derived works"]


def test_a_llama_needs_its_name_and_its_notice(build: Build) -> None:
    files = {"LICENSE": "The agreement with its acceptable use policy.\n"}
    assert unmet(build("llama3.1", files=files)) == ["1.b.i"]  # The build adds the notice.


def test_a_llama_with_its_name_and_its_notice_is_published(build: Build) -> None:
    files = {"LICENSE": "The agreement.\n", "NOTICE": LLAMA.replace("©", "(c)")}
    card = {"title": "Llama Acme"}
    check_license_gate(build("llama3.1", name="llama-acme", files=files, card=card))


def test_a_notice_in_the_recipes_files_counts(build: Build) -> None:
    files = {"LICENSE": "The agreement.\n" + LLAMA + "x" * 5000}
    card = {"title": "Llama Acme"}
    folder = build("llama3.1", name="llama-acme", files=files, card=card, texts=(LLAMA.encode(),))
    check_license_gate(folder)


def test_the_notice_quoted_in_the_agreement_does_not_count(build: Build) -> None:
    files = {"LICENSE": "The agreement.\n" + LLAMA + "x" * 5000}
    card = {"title": "Llama Acme"}
    folder = build("llama3.1", name="llama-acme", files=files, card=card)
    check_license_gate(folder)
    Package.load(folder).model_copy(update={"documents": ()}).save(folder)
    assert unmet(folder) == ["1.b.iii"]


def test_a_model_that_may_not_be_shared_is_not_published(build: Build) -> None:
    with pytest.raises(GateError, match="may not be shared"):
        check_license_gate(build("cc-by-nd-4.0", files={"LICENSE": "No derivatives.\n"}))


def test_the_publisher_chooses_among_licenses(build: Build) -> None:
    folder = build("CC-BY-ND-4.0 OR MIT", files={"LICENSE": "Both.\n"})
    assert {each.license for each in check_license_gate(folder).results if not each.of_data} == {"MIT"}


def test_a_package_without_the_bases_notice_is_refused(build: Build) -> None:
    folder = build("Apache-2.0", files={"LICENSE": "The license.\n", "NOTICE": "Notices.\n"})
    package = Package.load(folder)
    assert [each.name for each in package.documents] == ["NOTICE"]
    package.model_copy(update={"documents": ()}).save(folder)
    assert unmet(folder) == ["4(c), 4(d)"]


def test_notes_tell_of_a_license_without_its_text(build: Build) -> None:
    files = {"LICENSE": "MIT.\n"}
    (note,) = package_duties(build("MIT", files=files, license="MIT AND LicenseRef-Acme")).notes
    assert note.startswith("The text of LicenseRef-Acme, the license of the model, is not in the package.")


def test_notes_tell_of_data_under_custom_licenses(build: Build) -> None:
    report = package_duties(build("MIT", files={"LICENSE": "MIT.\n"}))
    assert report.notes == ()
    assert [(each.license, each.texts, each.state) for each in report.results if each.of_data] == [
        ("MIT", 1, "judge")
    ]


@pytest.mark.parametrize("folder", [*PACKAGES, MADE_UP], ids=lambda each: each.name)
def test_packages_of_earlier_versions_are_published_as_ever(folder: Path) -> None:
    assert Package.load(folder).version == 1
    assert check_license_gate(folder).unmet == ()


def test_an_earlier_package_needs_a_license_text_only(
    tmp_path: Path,
) -> None:
    old = PACKAGES[0]
    folder = tmp_path / "old"
    shutil.copytree(old, folder)
    Package.load(folder).model_copy(update={"licenses": ()}).save(folder)
    with pytest.raises(GateError, match="no text of this license"):
        check_license_gate(folder)
