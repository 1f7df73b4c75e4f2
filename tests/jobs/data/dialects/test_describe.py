"""The line about a source's records, at plan already, and the counts of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.data_manifest import MANIFEST_FILE, DataManifest
from starfreight.errors import InputError
from starfreight.jobs.data.dialects import describe_dialect
from starfreight.jobs.data.manifest.build_manifest import build_manifest
from starfreight.recipe import Data

PAIRS: list[dict[str, Any]] = [{"prompt": f"Say {n}.", "response": str(n), "id": n} for n in range(12)]
# Of version 0.1.0 at commit 3702be3.
DIGEST_OF_PAIRS = "sha256:0bf24be796004a9315568243ed09c4587f06b409797f4182f04bbeb09471a908"
DIGEST_OF_CHATS = "sha256:113487a6a0c9fe4db1152e0f1743805534ec06622acb4b6a67e0bbe81060ceb2"
CALL: dict[str, Any] = {
    "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"id": "1"}]}]
}


def source(folder: Path, rows: Sequence[Mapping[str, Any]], **keys: Any) -> Data:
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Data(**{"source": "a.jsonl", "format": "instruct", "license": "MIT", "held_out": 0, **keys})


def test_the_line_names_the_dialect_the_keys_and_what_is_not_used(tmp_path: Path) -> None:
    assert describe_dialect(source(tmp_path, PAIRS), tmp_path) == (
        "instruct records: prompt and response (prompt, response), 12 of 12 read; keys not used: id"
    )
    assert describe_dialect(source(tmp_path, [*PAIRS, CALL]), tmp_path) == (
        "instruct records: prompt and response (prompt, response) and OpenAI messages (messages), "
        "12 of 13 read; left out: 1 has tool calls; keys not used: id"
    )


def test_only_the_first_records_of_a_long_file_are_read(tmp_path: Path) -> None:
    line = describe_dialect(source(tmp_path, PAIRS * 20 + [{"odd": 1}]), tmp_path)
    assert line is not None and "200 of the first 200 read" in line


def test_a_dialect_that_is_not_known_is_an_error_before_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no known dialect") as caught:
        describe_dialect(source(tmp_path, [{"question": "a", "answer": "b"}]), tmp_path)
    assert caught.value.where == "a.jsonl:1"


def test_a_source_of_tool_calls_only_is_an_error_with_the_reason(tmp_path: Path) -> None:
    data = source(tmp_path, [CALL] * 3)
    with pytest.raises(InputError, match="3 has tool calls") as caught:
        describe_dialect(data, tmp_path)
    assert caught.value.fix
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=r"3 conversation.*has tool calls") as caught:
        build_manifest([data], [tmp_path / "a.jsonl"], tmp_path, tmp_path / "out", Console(quiet=True))
    assert "data[0].columns" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("row", "form"), [({"prompt": "a", "response": "b"}, "fim"), ({"prompt": "a"}, "code")], ids=str
)
def test_records_without_the_fields_of_a_format_for_files_are_an_error_too(
    row: Mapping[str, Any], form: str, tmp_path: Path
) -> None:
    data = source(tmp_path, [row], format=form)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match=f"record of format {form}"):
        describe_dialect(data, tmp_path)
    with pytest.raises(InputError, match=f"record of format {form}"):
        build_manifest([data], [tmp_path / "a.jsonl"], tmp_path, tmp_path / "out", Console(quiet=True))


def test_files_and_sources_to_be_fetched_have_no_line(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    assert describe_dialect(Data(source="src"), tmp_path) is None
    assert describe_dialect(source(tmp_path, [{"content": "x = 1\n"}], format="code"), tmp_path) is None
    remote = Data(source="dataset:acme/pairs", revision="1" * 40, format="instruct")
    assert describe_dialect(remote, tmp_path) is None


def test_files_are_no_instructions(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("x = 1\n")
    with pytest.raises(InputError, match="files has no instructions"):
        describe_dialect(Data(source="src", format="instruct"), tmp_path)


def manifest_of(folder: Path, rows: Sequence[Mapping[str, Any]], **keys: Any) -> DataManifest:
    data = source(folder, rows, **keys)
    out = folder / "out"
    out.mkdir(exist_ok=True)
    build = build_manifest([data], [folder / "a.jsonl"], folder, out, Console(quiet=True))
    assert build.manifest.digest == DataManifest.load(out / MANIFEST_FILE).digest
    return DataManifest.load(out / MANIFEST_FILE)


def test_the_manifest_counts_what_is_read_otherwise_than_before_and_only_that(tmp_path: Path) -> None:
    plain = manifest_of(tmp_path, PAIRS)
    assert b'"notes"' not in plain.path.read_bytes()
    rows = [row | {"system": "Be brief."} for row in PAIRS[:3]] + PAIRS[3:]
    found = manifest_of(tmp_path, rows)
    assert found.sources[0].notes == {"with a system message": 3}
    assert found.sources[0].train.samples == 12


def test_the_manifest_lists_the_records_left_out_with_their_reasons(tmp_path: Path) -> None:
    rows = [*PAIRS, CALL, {"prompt": "a", "response": " "}]
    assert manifest_of(tmp_path, rows).sources[0].left_out == {
        "conversation": {"empty answer": 1, "has tool calls": 1}
    }


def test_a_run_says_how_the_records_were_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = source(tmp_path, [*PAIRS[:3], PAIRS[4] | {"history": [["a", "b"]]}, CALL])
    (tmp_path / "out").mkdir()
    build = build_manifest([data], [tmp_path / "a.jsonl"], tmp_path, tmp_path / "out", Console())
    shown = capsys.readouterr()
    for line in (
        "instruct records: 4 prompt and response", "of these: 1 with history", "not used: 4 id",
        "left out: 1 has tool calls",
    ):  # fmt: skip
        assert line in shown.out + shown.err
        assert line in build.conversations[0].lines()


CHATS = [
    {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": f"Say {n} {'in many words ' * 5}"}]},
            {"role": "assistant", "content": str(n), "weight": 1},
            {"role": "user", "content": "bye"},
        ]
    }
    for n in range(12)
]


@pytest.mark.parametrize(("rows", "digest"), [(PAIRS, DIGEST_OF_PAIRS), (CHATS, DIGEST_OF_CHATS)])
def test_the_manifest_of_records_read_as_before_has_the_digest_of_an_earlier_release(
    rows: Sequence[Mapping[str, Any]], digest: str, tmp_path: Path
) -> None:
    assert manifest_of(tmp_path, rows, held_out=0.25).digest == digest
