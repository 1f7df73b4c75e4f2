from __future__ import annotations

import json
from typing import Any

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.files import sha256_file
from starfreight.jobs.starter.architecture import Shape, config_json, model_config
from starfreight.jobs.starter.build import MANIFEST
from starfreight.jobs.starter.tokenizer import SPECIAL_TOKENS


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((STARTER_FOLDER / MANIFEST).read_bytes())
    return found


def test_it_loads_and_has_two_to_four_million_weights(manifest: dict[str, Any]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, Starcoder2ForCausalLM

    model = AutoModelForCausalLM.from_pretrained(STARTER_FOLDER, local_files_only=True)
    assert isinstance(model, Starcoder2ForCausalLM)
    assert model.dtype == torch.bfloat16
    count = sum(parameter.numel() for parameter in model.parameters())
    assert 2e6 < count < 4e6
    assert count == manifest["parameters"] == Shape().parameters()
    assert all(weight.shape[-1] % 256 == 0 for weight in model.parameters() if weight.ndim == 2)
    config = AutoConfig.from_pretrained(STARTER_FOLDER, local_files_only=True)
    assert (config.bos_token_id, config.eos_token_id, config.use_bias) == (0, 0, True)
    assert (config.sliding_window, config.rope_parameters["rope_theta"]) == (None, 10_000.0)


def test_its_configuration_is_the_one_it_was_trained_with() -> None:
    trained, written = model_config(Shape()).to_dict(), config_json(Shape())
    for key in set(written) & set(trained) - {"architectures", "dtype"}:
        assert written[key] == trained[key], key
    assert json.loads((STARTER_FOLDER / "config.json").read_bytes()) == written


def test_its_tokenizer_survives_transformers() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(STARTER_FOLDER, local_files_only=True)
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(38))
    assert tokenizer.convert_ids_to_tokens(tokenizer("x =  9")["input_ids"])[-1] == "9"
    steps = json.loads(tokenizer.backend_tokenizer.to_str())["pre_tokenizer"]["pretokenizers"]
    assert [step["type"] for step in steps] == ["Digits", "ByteLevel"]
    assert len(tokenizer) == Shape().vocabulary


def test_its_files_are_those_of_the_manifest(manifest: dict[str, Any]) -> None:
    present = {path.name for path in STARTER_FOLDER.iterdir()} - {MANIFEST}
    assert present == set(manifest["model_files"])
    for name, digest in manifest["model_files"].items():
        assert sha256_file(STARTER_FOLDER / name) == digest, name


def test_its_license_and_card_say_where_it_comes_from(manifest: dict[str, Any]) -> None:
    assert b"PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in (STARTER_FOLDER / "LICENSE").read_bytes()
    assert manifest["source_license"] == "PSF-2.0"
    assert sum(not file["held_out"] for file in manifest["files"]) > 500
    assert all("test" not in file["path"].split("/")[:-1] for file in manifest["files"])
    assert f"{manifest['held_out']['loss']:.3f}" in (STARTER_FOLDER / "README.md").read_text()


def test_it_has_learnt_something(manifest: dict[str, Any]) -> None:
    assert manifest["held_out"]["loss"] < 3.2
    assert manifest["held_out"]["bits_per_byte"] < 1.5
