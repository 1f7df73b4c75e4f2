"""The fuzz tests' own machinery: kept cases are tried, findings are written, and bad errors are found."""

from __future__ import annotations

from pathlib import Path

import fuzzing
import pytest
from fuzzing import fuzz, holds, texts
from hypothesis import given

from starfreight.errors import InputError


def test_a_kept_case_is_tried_and_a_finding_is_a_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "kept_cases/a_kept_case_is_tried_and_a_finding_is_a_case"
    case = tmp_path / name / "one"
    case.mkdir(parents=True)
    (case / "text").write_text("the kept one")
    monkeypatch.setattr(fuzzing, "CASES", tmp_path)
    monkeypatch.setattr(fuzzing, "_FINDINGS", str(tmp_path / "findings"))
    seen = []

    def parser(text: str) -> None:
        seen.append(text)
        assert text != "the kept one"

    with pytest.raises(AssertionError):
        fuzz(given(text=texts)(parser))()
    assert seen[0] == "the kept one"
    assert (tmp_path / "findings" / name / "finding/text").read_text() == "the kept one"


def test_each_kept_case_belongs_to_a_test() -> None:
    here = Path(__file__).parent
    for folder in fuzzing.CASES.glob("*/*/"):
        source = (here / f"test_{folder.parent.name}.py").read_text()
        assert f"def test_{folder.name}(" in source, f"{folder} names no test"
        assert all(path.is_file() for case in folder.iterdir() for path in case.iterdir())


@pytest.mark.parametrize("where", ["a\nError: b", "\x1b]0;x\x07"])
def test_an_error_with_foreign_text_holds_and_another_exception_does_not(where: str) -> None:
    def refuse() -> None:
        raise InputError(f"It holds {where}.", where=where, fix=where)

    def fail() -> None:
        raise KeyError(where)

    holds(refuse)
    with pytest.raises(KeyError):
        holds(fail)
