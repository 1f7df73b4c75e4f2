"""A finished run with random weights, as training would leave it, and importance matrices."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starfreight.checkpoint import checkpoint_files, open_checkpoint
from starfreight.data_manifest import (
    EntryList,
    SourceSummary,
    first_line,
    json_line,
    last_lines,
    source_line,
)
from starfreight.files import canonical_json, sha256_bytes, sha256_file, write_json
from starfreight.packager.press.architectures import architecture_plan
from starfreight.recipe import recipe_digest, validate_recipe
from starfreight.records import FileDigest
from starfreight.run import BaseInput, Inputs, Machine, Measurement, Outcome, Run


def _digest(root: Path, path: Path) -> FileDigest:
    return FileDigest(
        path=path.relative_to(root).as_posix(), digest=sha256_file(path), size=path.stat().st_size
    )


LEFT_OUT = b"".join(
    json.dumps({"source": 0, "name": name, "filter": "unusable", "reason": "empty"}).encode() + b"\n"
    for name in ("b.py", "c.py")
)
_FILE = {"path": "a.py", "digest": "sha256:" + "a" * 64, "size": 10}
_SOURCE = {"source": "./src", "revision": None, "format": "fim", "license": "BSD-3-Clause"}
_USED = {"samples": 1, "bytes": 10}
MANIFESTS: dict[int, dict[str, Any]] = {
    1: {"version": 1,
        "sources": [{**_SOURCE, "files": [{**_FILE, "split": "train"}], "left_out": {"empty": 2}}]},
    2: {
        "version": 2,
        "sources": [
            {
                **_SOURCE, "weight": 1.0, "repositories": 0, "found": 3, "train": _USED,
                "held_out": {"samples": 0, "bytes": 0}, "left_out": {"unusable": {"empty": 2}},
                "licenses": {"MIT": _USED}, "languages": {"Python": _USED}, "replaced": {}, "records": None,
                "files": [
                    {**_FILE, "swhid": "swh:1:cnt:" + "b" * 40, "license": "MIT", "repository": None,
                     "commit": None, "language": "Python", "split": "train"}
                ],
            }
        ],
        "left_out": {
            "path": "left_out.jsonl", "digest": sha256_bytes(LEFT_OUT), "size": len(LEFT_OUT), "entries": 2
        },
    },
}  # fmt: skip
"""``data/manifest.json`` of the same data by each release."""


ADAPTED = {
    "starcoder2": {"model.layers.0.self_attn.q_proj.weight": (256, 256)},
    "starcoder": {"transformer.h.0.attn.c_attn.weight": (384, 256)},
}
"""Weights with an adapter, and their shapes."""


def write_data_manifest(folder: Path, value: Mapping[str, Any]) -> None:
    """Writes ``manifest.json`` and ``left_out.jsonl`` as a run has them."""
    folder.mkdir(parents=True, exist_ok=True)
    if value["version"] == 1:
        write_json(folder / "manifest.json", value)
        return
    lines = [first_line()]
    for source in value["sources"]:
        summary = SourceSummary.model_validate({k: v for k, v in source.items() if k != "files"})
        entries = b",\n".join(json_line(each) for each in source["files"])
        lines += [source_line(summary), entries, b"\n]}\n" if source is value["sources"][-1] else b"\n]},\n"]
    lines.append(last_lines(EntryList.model_validate(value["left_out"])))
    (folder / "manifest.json").write_bytes(b"".join(lines))
    (folder / "left_out.jsonl").write_bytes(LEFT_OUT)


@pytest.fixture
def make_run(make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path]) -> Callable[..., Path]:
    """Makes ``<root>/base`` and ``<root>/runs/tiny`` and returns the run's folder."""

    def make(
        root: Path,
        *,
        license_text: str | None = "The license.\n",
        manifest_version: int = 2,
        architecture: str = "starcoder2",
        tied: bool = True,
        **package: Any,
    ) -> Path:
        base = make_checkpoint(root / "base", architecture, hidden=256, ffn=256, layers=1, tied=tied)
        if license_text is not None:
            (base / "LICENSE").write_text(license_text)
        folder = root / "runs" / "tiny"
        adapter = make_adapter(folder / "adapter", ADAPTED[architecture])
        recipe = validate_recipe(
            {
                "version": 1,
                "name": "tiny",
                "base": {"model": "./base", "license": "MIT"},
                "data": [{"source": "./src", "license": "BSD-3-Clause"}],
                "package": {"quantizations": ["Q8_0"], **package},
            },
            "recipe",
        )
        write_data_manifest(folder / "data", MANIFESTS[manifest_version])
        files = tuple(_digest(base, path) for path in checkpoint_files(base))
        Run(
            version=1,
            id="tiny-0123456789",
            status="done",
            recipe=recipe,
            recipe_digest=recipe_digest(recipe),
            base=BaseInput(
                model="./base",
                revision=None,
                license="MIT",
                architecture=architecture,
                digest=sha256_bytes(canonical_json([each.model_dump() for each in files])),
                files=files,
            ),
            data_manifest=_digest(folder, folder / "data" / "manifest.json"),
            versions={"torch": "2.13.0"},
            machine=Machine(processor="x86_64", device="cpu", threads=1),
            started="2026-01-02T03:04:05Z",
            ended="2026-01-02T03:14:05Z",
            outcome=Outcome(
                steps=3,
                tokens=384,
                seconds=600.0,
                before=Measurement(loss=3.0, tokens=100, exact_match=0.0, completions=4),
                after=Measurement(loss=2.5, tokens=100, exact_match=0.25, completions=4),
                adapter=tuple(_digest(folder, path) for path in sorted(adapter.iterdir())),
            ),
        ).save(folder)
        Inputs(version=1, recipe_folder=str(root), base=str(base), data=(str(root / "src"),)).save(folder)
        return folder

    return make


@pytest.fixture
def config_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The ``config.json`` of each base model that is opened, once for each time."""
    from starfreight.checkpoint import model

    read, paths = model.read_config, list[Path]()

    def counted(path: Path) -> Any:
        paths.append(path)
        return read(path)

    monkeypatch.setattr(model, "read_config", counted)
    return paths


@pytest.fixture(scope="session")
def save_imatrix() -> Callable[..., Path]:
    """Writes tensors of float32 as a GGUF file of the kind that ``llama-imatrix`` writes."""

    def save(
        path: Path,
        tensors: Mapping[str, Any],
        *,
        kind: str = "imatrix",
        datasets: tuple[str, ...] = ("code.txt", "more.txt"),
        chunks: int | None = 7,
        chunk_size: int | None = 512,
    ) -> Path:
        from gguf import GGUFWriter

        path.parent.mkdir(parents=True, exist_ok=True)
        writer = GGUFWriter(path, "")
        writer.kv_data[0].clear()
        writer.add_type(kind)
        writer.add_array("imatrix.datasets", list(datasets))
        for key, number in (("chunk_count", chunks), ("chunk_size", chunk_size)):
            if number is not None:
                writer.add_uint32(f"imatrix.{key}", number)
        for name, values in tensors.items():
            writer.add_tensor(name, np.asarray(values))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return save


@pytest.fixture(scope="session")
def make_imatrix(save_imatrix: Callable[..., Path]) -> Callable[..., Path]:
    """Makes an importance matrix of a base with random, very uneven numbers."""

    def make(base: Path, path: Path, *, tokens: int = 3000, **settings: Any) -> Path:
        shape = open_checkpoint(base).shape
        random = np.random.default_rng(3)
        tensors = {}
        for plan in architecture_plan(shape.architecture).tensors(shape):
            if plan.layer >= 0 and len(plan.shape) == 2:
                sums = tokens * np.exp(random.standard_normal((1, plan.columns)) * 3)
                tensors[f"{plan.name}.in_sum2"] = sums.astype(np.float32)
                tensors[f"{plan.name}.counts"] = np.full((1, 1), tokens, np.float32)
        return save_imatrix(path, tensors, **settings)

    return make
