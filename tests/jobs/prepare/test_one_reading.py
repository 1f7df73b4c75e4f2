"""Planning, training and the press refuse a doubtful base model alike, before anything is made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from small_jobs import ALL_ALIKE

from starfreight.cli import main

ARCHITECTURES = ("starcoder2", "starcoder")


@pytest.fixture
def base(tmp_path: Path, bases: Mapping[str, Path]) -> Callable[[str], Path]:
    """Copies the base model of an architecture beside the recipe."""

    def copy(architecture: str) -> Path:
        folder = Path(shutil.copytree(bases[architecture], tmp_path / "base"))
        (folder / "LICENSE").write_text("MIT License\n")
        return folder

    return copy


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def stale_index(base: Path) -> None:
    shutil.copy(base / "model.safetensors", base / "model-00001-of-00001.safetensors")
    index = {"weight_map": {"x": "model-00001-of-00001.safetensors"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(index))


def stale_shard(base: Path) -> None:
    shutil.copy(base / "model.safetensors", base / "model-00002-of-00003.safetensors")


def adapter(base: Path) -> None:
    (base / "adapter_config.json").write_text('{"peft_type": "LORA"}')


def other_head(base: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(base / "model.safetensors")
    embedding = next(name for name in weights if name.endswith(("embed_tokens.weight", "wte.weight")))
    weights["lm_head.weight"] = weights[embedding] + 1
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})


def both_directions(base: Path) -> None:
    edit(base / "config.json", is_causal=False)


def other_weights(base: Path) -> None:
    edit(base / "config.json", transformers_weights="new.safetensors")


def plain_mark(base: Path) -> None:
    data = json.loads((base / "tokenizer.json").read_text())
    edit(
        base / "tokenizer.json",
        added_tokens=[each | {"special": each["content"] != "<fim_middle>"} for each in data["added_tokens"]],
    )


def truncation(base: Path) -> None:
    rule = {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
    edit(base / "tokenizer.json", truncation=rule)


def too_many_tokens(base: Path) -> None:
    data = json.loads((base / "tokenizer.json").read_text())
    size = len(data["model"]["vocab"])
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    rows = json.loads((base / "config.json").read_text())["vocab_size"]
    more = [{"id": number, "content": f"<more{number}>"} | flags for number in range(size, rows + 1)]
    edit(base / "tokenizer.json", added_tokens=data["added_tokens"] + more)


FAULTS: dict[Callable[[Path], None], str] = {
    stale_index: "two sets of weights",
    stale_shard: "two sets of weights",
    adapter: "also holds an adapter",
    other_head: "ties the output layer",
    both_directions: "is_causal",
    other_weights: "transformers_weights",
    plain_mark: "'<fim_middle>' is not special",
    truncation: "truncation",
    too_many_tokens: "rows",
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_plan_run_and_press_refuse_a_doubtful_base_with_the_same_error(
    fault: Callable[[Path], None],
    architecture: str,
    base: Callable[[str], Path],
    write_job: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    folder = base(architecture)
    data = {"source": "./code", "license": "MIT", "held_out": 0.25, "filters": ALL_ALIKE}
    recipe = write_job(architecture, data, base={"model": "./base", "license": "MIT"})
    assert main(["plan", str(recipe), "--json"]) == 0
    capsys.readouterr()
    fault(folder)
    errors = []
    for words in (
        ("plan", str(recipe)),
        ("jobs", "run", str(recipe), "--runs", str(tmp_path / "runs")),
        ("package", "press", str(folder), "--name", "x", "--quantize", "F16", "--out", str(tmp_path / "out")),
    ):
        assert main([*words, "--json"]) == 2
        errors.append(json.loads(capsys.readouterr().out)["error"])
    assert FAULTS[fault] in errors[0]["what"]
    assert errors[0]["next"]
    assert {error["what"] for error in errors} == {errors[0]["what"]}
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").glob("*/run.json"))
    assert not list(tmp_path.glob("out/*.gguf"))


def test_plan_names_the_window_of_the_attention(
    base: Callable[[str], Path], write_job: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = base("starcoder2")
    data = {"source": "./code", "license": "MIT", "held_out": 0.25, "filters": ALL_ALIKE}
    recipe = write_job("starcoder2", data, base={"model": "./base", "license": "MIT"})
    for window, line in ((None, ""), (48, "attention window        48 tokens")):
        edit(folder / "config.json", sliding_window=window)
        assert main(["plan", str(recipe), "--json"]) == 0
        (variant,) = json.loads(capsys.readouterr().out)["variants"]
        assert (variant["sliding_window"], variant["context_length"]) == (window, 256)
        assert main(["plan", str(recipe)]) == 0
        said = capsys.readouterr().out
        assert line in said
        assert ("attention window" in said) is (window is not None)
