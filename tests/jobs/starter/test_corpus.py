from __future__ import annotations

from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.starter.corpus import license_text, read_corpus, standard_library


def test_tests_tables_and_installed_packages_are_left_out(library: Path) -> None:
    before = [file.path for file in read_corpus(library)]
    for name in (
        "test/a.py",
        "json/tests/a.py",
        "encodings/a.py",
        "site-packages/a.py",
        "_sysconfigdata_x.py",
    ):
        (library / name).parent.mkdir(exist_ok=True)
        (library / name).write_text("left = out\n")
    assert [file.path for file in read_corpus(library)] == before
    assert "json/scanner.py" in before


def test_a_link_out_of_the_library_is_not_followed(library: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("key = 'secret'\n")
    (library / "linked.py").symlink_to(secret)
    assert "linked.py" not in {file.path for file in read_corpus(library)}


def test_files_that_are_not_utf8_or_empty_are_left_out(library: Path) -> None:
    (library / "latin.py").write_bytes(b"name = '\xe9'\n")
    (library / "empty.py").write_bytes(b"\n\n")
    assert {"latin.py", "empty.py"}.isdisjoint(file.path for file in read_corpus(library))


def test_a_library_without_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_corpus(tmp_path)
    assert caught.value.exit_code == 2


def test_this_python_has_its_license_and_about_ten_megabytes() -> None:
    assert b"PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in license_text(standard_library())
    files = read_corpus(standard_library())
    assert 5e6 < sum(file.size for file in files) < 20e6
    assert 0.01 < sum(file.size for file in files if file.held_out) / sum(file.size for file in files) < 0.1
