"""The license of a repository: recognised from its exact text only."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from starfreight.jobs.data.repository_license import (
    MAX_LICENSE_BYTES,
    is_license_file,
    license_of_text,
    repository_license,
)


@pytest.mark.parametrize("name", ["MIT", "ISC", "Apache-2.0"])
def test_the_text_of_a_license_is_recognised_however_it_is_laid_out(
    name: str, license_texts: Mapping[str, str]
) -> None:
    text = license_texts[name]
    assert license_of_text(text.encode()) == name
    assert (
        license_of_text("\n\n".join(" ".join(each.split()) for each in text.split("\n\n")).encode()) == name
    )
    assert license_of_text(text.replace("\n", "\r\n").upper().encode()) == name
    assert license_of_text(("\ufeff" + text + "\n\n").encode()) == name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("free of charge, to any", "free of charge, for non-commercial use, to any"),
        ("without restriction", "with restriction"),
        ("\nTHE SOFTWARE IS", "\nThe Software may not be used to train models.\n\nTHE SOFTWARE IS"),
        ("MIT License", '"Commons Clause": the grant does not include the right to Sell.\n\nMIT License'),
        ("THE SOFTWARE.\n", "THE SOFTWARE.\n\nNot for use by the military.\n"),
        ("2020 Ann Author", "2020 Ann Author\n\nOnly for members of the club."),
        ("2020 Ann Author", "2020 Ann Author, not for commercial use"),
        ("2020 Ann Author", "2020 Ann Author,\nwho allows this to members of the club only"),
        ("MIT License", "Members of the club only: read copyright law.\n"),
    ],
)  # fmt: skip
def test_a_license_with_one_more_condition_is_not_that_license(
    before: str, after: str, license_texts: Mapping[str, str]
) -> None:
    text = license_texts["MIT"]
    assert before in text
    assert license_of_text(text.replace(before, after, 1).encode()) is None


def test_a_text_that_only_resembles_mit_is_called_what_it_is(license_texts: Mapping[str, str]) -> None:
    good = "The Software shall be used for Good, not Evil.\n\nTHE SOFTWARE IS"
    text = license_texts["MIT"].replace("THE SOFTWARE IS", good, 1)
    assert license_of_text(text.encode()) == "JSON"


@pytest.mark.parametrize("text", [b"", b"\0\xff" * 99, b"MIT", b"See LICENSE.", b"(" * 100_000])
def test_what_is_no_license_is_unknown(text: bytes) -> None:
    assert license_of_text(text) is None


def test_a_license_file_that_is_too_large_is_unknown(license_texts: Mapping[str, str]) -> None:
    text = license_texts["MIT"].encode()
    assert license_of_text(text + b"\n" * (MAX_LICENSE_BYTES - len(text))) == "MIT"
    assert license_of_text(text + b"\n" * (MAX_LICENSE_BYTES - len(text) + 1)) is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"README.md": "MIT"}, None),
        ({"LICENSE": "MIT"}, "MIT"),
        ({"licence.TXT": "MIT"}, "MIT"),
        ({"COPYING": "ISC"}, "ISC"),
        ({"LICENSE-MIT": "MIT", "LICENSE-APACHE": "Apache-2.0"}, "Apache-2.0 OR MIT"),
        ({"LICENSE.MIT.txt": "MIT", "LICENSE.ISC.txt": "ISC"}, "ISC OR MIT"),
        ({"LICENSE-MIT": "MIT", "LICENSE-OTHER": "Ours"}, None),
        ({"LICENSE": "MIT", "COPYING": "ISC"}, "ISC AND MIT"),
        ({"LICENSE": "MIT", "LICENSE-docs": "ISC"}, "ISC AND MIT"),
        ({"LICENSE": "MIT", "COPYING.txt": "MIT"}, "MIT"),
        ({"LICENSE": "Ours", "COPYING": "MIT"}, None),
        ({"LICENSE": "MIT", "LICENSE.third-party": "Ours"}, "MIT"),
        ({"LICENSE": None}, None),
    ],
)
def test_several_files_are_a_choice_or_all_hold(
    files: Mapping[str, str | None], expected: str | None, license_texts: Mapping[str, str]
) -> None:
    def read(name: str) -> bytes | None:
        text = files[name]
        return None if text is None else license_texts.get(text, "All yours, but never on Sundays.").encode()

    assert repository_license(files, read) == expected


def test_two_licenses_in_one_file_both_hold(license_texts: Mapping[str, str]) -> None:
    both = license_texts["MIT"] + "\n---\n\n" + license_texts["ISC"]
    assert license_of_text(both.encode()) == "ISC AND MIT"


def test_license_files_are_known_by_their_names() -> None:
    assert all(map(is_license_file, ("LICENSE", "License.md", "LICENCE", "COPYING.LESSER", "UNLICENSE")))
    assert not any(
        map(is_license_file, ("LICENSES", "licensed.py", "NOTICE", "LICENSE.third-party", "x.txt"))
    )
