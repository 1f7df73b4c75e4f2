from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.opt_out import OptOutFilter

DIGITS = "94a9ed024d3859793618152ea559a168bbcbb5e2"


@pytest.fixture
def listed(tmp_path: Path) -> Callable[[str], OptOutFilter]:
    def make(text: str) -> OptOutFilter:
        path = tmp_path / "opt-out.txt"
        path.write_text(text, encoding="utf-8")
        return OptOutFilter(path)

    return make


@pytest.mark.parametrize(
    "line",
    [
        "owner/name", "Owner/Name", "https://github.com/owner/name", "https://github.com/owner/name.git",
        "git@github.com:owner/name.git", "ssh://git@github.com/owner/name", "github.com/owner/name",
        "owner/name # please",
        "  owner/name/  ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("repository", ["owner/name", "OWNER/name", "https://github.com/Owner/Name.git"])
def test_a_repository_is_known_by_each_of_its_names(
    line: str, repository: str, listed: Callable[[str], OptOutFilter], make_document: Callable[..., Document]
) -> None:
    one = listed(f"# Opted out\n\n{line}\n")
    assert one.reject(make_document(repository=repository)) == "its repository"


@pytest.mark.parametrize(
    "repository", ["owner/other", "other/name", "name", "owner", "https://host.example/owner2/name", None]
)
def test_another_repository_stays(
    repository: str | None, listed: Callable[[str], OptOutFilter], make_document: Callable[..., Document]
) -> None:
    assert listed("owner/name\n").reject(make_document(repository=repository)) is None


def test_a_repository_elsewhere_stays_when_the_host_is_named(
    listed: Callable[[str], OptOutFilter], make_document: Callable[..., Document]
) -> None:
    one = listed("https://git.acme.example/owner/name\n")
    assert one.reject(make_document(repository="https://github.com/owner/name")) is None
    assert one.reject(make_document(repository="https://git.acme.example/owner/name")) == "its repository"


def test_contents_and_commits_are_known_by_their_swhid(
    listed: Callable[[str], OptOutFilter], make_document: Callable[..., Document]
) -> None:
    one = listed(f"swh:1:cnt:{DIGITS};origin=https://x.example/y\nSWH:1:REV:{'1' * 40}\n")
    assert one.reject(make_document(swhid=f"swh:1:cnt:{DIGITS}")) == "its content"
    assert one.reject(make_document(commit="1" * 40)) == "its commit"
    assert one.reject(make_document(swhid=f"swh:1:cnt:{'2' * 40}", commit=DIGITS)) is None


@pytest.mark.parametrize("line", ["swh:1:dir:" + DIGITS, "swh:1:cnt:123", "two words", "/absolute"])
def test_a_line_that_names_nothing_is_an_error_with_its_number(
    line: str, listed: Callable[[str], OptOutFilter]
) -> None:
    with pytest.raises(InputError) as caught:
        listed(f"owner/name\n{line}\n")
    assert caught.value.where is not None
    assert caught.value.where.endswith("opt-out.txt, line 2")


def test_a_list_that_is_no_text_or_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        OptOutFilter(tmp_path / "none.txt")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        OptOutFilter(tmp_path / "bytes")
