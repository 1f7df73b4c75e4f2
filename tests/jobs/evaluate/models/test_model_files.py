"""The files beside a model's weights, in the job's directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.model_files import LocalTarget, ModelFiles

FILES = ModelFiles(
    "acme-coder", {"num_ctx": 512, "stop": ["</s>", "\n"]}, "{{ .Prompt }}\r\né", "", frozenset({"fim"})
)


@pytest.mark.parametrize("files", [FILES, ModelFiles("m"), ModelFiles("m", template="")])
def test_they_come_back_as_they_were(files: ModelFiles, tmp_path: Path) -> None:
    files.save(tmp_path)
    assert ModelFiles.load(tmp_path) == files
    source = LocalTarget(Path("m.gguf"), None, files).source
    assert ModelFiles.of(source) == files and source.gguf == Path("m.gguf")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.json", b"{}"),
        ("model.json", b'{"version": 2}'),
        ("model.json", b"\xff"),
        ("template.txt", b"\xff"),
        ("template.txt", b" " * ((1 << 20) + 1)),
        ("template.txt", None),
    ],
)
def test_damaged_files_are_refused(name: str, data: bytes | None, tmp_path: Path) -> None:
    FILES.save(tmp_path)
    (tmp_path / name).unlink()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError):
        ModelFiles.load(tmp_path)
