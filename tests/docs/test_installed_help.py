"""Help and errors name nothing that only a checkout has; ``starfreight docs`` prints each page they name."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import pytest
from command_reference import command_reference
from documentation import ROOT, messages

from starfreight.cli import cli, main

_IN_A_CHECKOUT = re.compile(
    r"\bdocs/[\w-]+\.md|\b(?:examples|tests|tools|benchmarks)/[\w-]+[./]|CONTRIBUTING\.md"
    rf"|\bkubernetes/(?:{'|'.join(path.stem for path in (ROOT / 'kubernetes').iterdir())})\b"
)
_WRITTEN_BY = "starfreight docs --to DIR"
_EXAMPLE = re.compile(r"\]\((\.\./examples/[^)#]+)\)")
_PAGE = re.compile(r"starfreight docs ([a-z][a-z-]*)")


def test_no_message_and_no_help_names_a_path_of_a_checkout() -> None:
    texts = _texts()
    assert len(texts) > 500
    wrong = [
        (where, found[0])
        for where, text in texts
        if _WRITTEN_BY not in text and (found := _IN_A_CHECKOUT.search(text)) is not None
    ]
    assert wrong == []


def test_each_page_named_in_a_message_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["docs", "--json"]) == 0
    pages = {each["page"] for each in json.loads(capsys.readouterr().out)["pages"]}
    named = {name for _, text in _texts() for name in _PAGE.findall(text)}
    assert len(named) > 5
    assert named <= pages


def test_a_page_is_printed_by_its_name_and_by_its_path(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("policy", "docs/policy.md"):
        assert main(["docs", name]) == 0
        assert capsys.readouterr().out.rstrip("\n") == (ROOT / "docs/policy.md").read_text().rstrip("\n")
    for name in ("../pyproject", "nope", "/etc/passwd"):
        assert main(["docs", name]) == 2
        assert "no such page" in capsys.readouterr().err
    assert main(["docs", "troubleshoot"]) == 2
    assert "did you mean 'troubleshooting'?" in capsys.readouterr().err


def test_all_pages_and_manifests_are_written_and_nothing_is_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["docs", "--to", str(tmp_path / "manual")]) == 0
    written = {path.relative_to(tmp_path / "manual").as_posix() for path in (tmp_path / "manual").rglob("*")}
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert pages <= written
    assert {
        "kubernetes/base/kustomization.yaml",
        "kubernetes/job/job.yaml",
        "examples/evaluate.yaml",
    } <= written
    assert not [name for name in written if name.endswith(".py")]
    for page in (tmp_path / "manual").rglob("*.md"):
        for link in _EXAMPLE.findall(page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    (tmp_path / "manual/docs/data.md").write_text("mine")
    assert main(["docs", "--to", str(tmp_path / "manual")]) == 2
    assert (tmp_path / "manual/docs/data.md").read_text() == "mine"


@functools.cache
def _texts() -> list[tuple[str, str]]:
    found = [
        (where, text)
        for where, text in messages(re.compile(f"{_IN_A_CHECKOUT.pattern}|{_PAGE.pattern}"))
        if "commands/docs.py" not in where
    ]
    samples = [
        (path.name, path.read_text()) for path in (ROOT / "starfreight/commands/sample").glob("*.yaml")
    ]
    return [*found, ("--help", command_reference(cli)), *samples]
