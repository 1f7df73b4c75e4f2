"""The press against transformers and peft: the same merge, the same tokens, the same logits."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.gguf.local_model import LocalModel
from starfreight.packager.press import PressRequest, press
from starfreight.packager.press.kernels import to_bfloat16

TARGETS = {
    "starcoder2": ["q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"],
    "starcoder": ["c_attn", "c_proj", "c_fc"],
}


def load(base: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


def llama_log_probabilities(gguf: Path, tokens: Sequence[int], vocab_size: int) -> np.ndarray:
    """llama.cpp's log-probabilities after each token, shape (tokens, vocabulary)."""
    found = np.empty((len(tokens), vocab_size), dtype=np.float32)
    with LocalModel(gguf, threads=1) as model:
        for position in range(len(tokens)):
            row = model.next_tokens(tokens[: position + 1], vocab_size)
            found[position] = [row[token] for token in range(vocab_size)]
    return found


PROMPTS = {
    "starcoder2": "<repo_name>acme<file_sep>b.py\nX = 12\n<file_sep><fim_prefix>a.py\ndef f(x):\n    return "
    "<fim_suffix>\n<fim_middle>x + X<|endoftext|>",
    "starcoder": "<reponame>acme<filename>a.py\n<fim_prefix>def f(x):\n    return <fim_suffix>\n<fim_middle>"
    "x + 12<|endoftext|>",
}


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize(
    "shape",
    [{"tied": True}, {"tied": False}, {"tied": True, "vocab_size": 450, "hidden": 96, "ffn": 200}],
    ids=["tied", "untied", "resized and odd rows"],
)
def test_log_probabilities_equal_those_of_transformers(
    architecture: str,
    shape: dict[str, Any],
    make_checkpoint: Callable[..., Path],
    console: Console,
    tmp_path: Path,
) -> None:
    import torch
    from tokenizers import Tokenizer

    base = make_checkpoint(tmp_path / "base", architecture, dtype="F32", layers=3, **shape)
    files = press(PressRequest(base, None, ("F32", "F16"), tmp_path / "out", "m"), console)
    tokens = Tokenizer.from_file(str(base / "tokenizer.json")).encode(PROMPTS[architecture]).ids
    fill_in_the_middle = {"starcoder2": {0, 1, 2, 3, 5, 6}, "starcoder": {0, 1, 2, 3, 5, 18}}
    assert fill_in_the_middle[architecture] < set(tokens)
    with torch.no_grad():
        expected = load(base)(torch.tensor([tokens])).logits[0].log_softmax(-1).numpy()
    for file, limit in zip(files, (0.01, 0.02), strict=True):
        found = llama_log_probabilities(file.path, tokens, expected.shape[1])
        assert np.abs(found - expected).max() < limit
        assert (found.argmax(-1) == expected.argmax(-1)).all()


@pytest.mark.parametrize("dtype", ["BF16", "F32"])
@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("starcoder2", {"r": 16, "lora_alpha": 32}),
        ("starcoder2", {"r": 7, "lora_alpha": 5, "use_rslora": True}),
        (
            "starcoder2",
            {
                "r": 4,
                "rank_pattern": {"q_proj": 9, "layers.1.mlp.c_fc": 3},
                # The first that matches the end of a name counts; "q_pro" matches none.
                "alpha_pattern": {"q_pro": 50, "^model.layers.0.mlp.c_fc": 2, "c_fc": 3},
            },
        ),
        ("starcoder2", {"r": 4, "modules_to_save": ["lm_head"]}),
        ("starcoder2", {"r": 4, "extra": ["embed_tokens"]}),
        ("starcoder2", {"r": 4, "bias": "all"}),
        ("starcoder", {"r": 16, "lora_alpha": 32}),
        ("starcoder", {"r": 64, "lora_alpha": 16}),
    ],
)
def test_a_merge_equals_pefts_to_the_last_bit(
    architecture: str,
    settings: dict[str, Any],
    dtype: str,
    make_checkpoint: Callable[..., Path],
    console: Console,
    tmp_path: Path,
) -> None:
    import torch
    from gguf import GGUFReader
    from peft import LoraConfig, get_peft_model

    from starfreight.checkpoint import open_checkpoint
    from starfreight.packager.press.architectures import architecture_plan

    # Some matrices are more than one chunk of the press's work.
    base = make_checkpoint(tmp_path / "base", architecture, tied=False, dtype=dtype, ffn=2400)
    settings = dict(settings)
    targets = TARGETS[architecture] + settings.pop("extra", [])
    torch.manual_seed(0)
    config = LoraConfig(target_modules=targets, init_lora_weights=False, **settings)
    tuned = get_peft_model(load(base), config)
    if "modules_to_save" in settings:
        tuned.base_model.model.lm_head.modules_to_save["default"].weight.data.add_(0.25)
    if "bias" in settings:
        for name, parameter in tuned.named_parameters():
            if name.endswith("bias"):
                parameter.data.add_(0.25)
    tuned.save_pretrained(tmp_path / "adapter")
    merged = tuned.merge_and_unload().state_dict()
    (file,) = press(PressRequest(base, tmp_path / "adapter", ("F32",), tmp_path / "out", "m"), console)
    found = {tensor.name: tensor.data for tensor in GGUFReader(file.path).tensors}
    for plan in architecture_plan(architecture).tensors(open_checkpoint(base).shape):
        expected = merged[plan.source].float().numpy()
        actual = np.ascontiguousarray(found[plan.name])
        if dtype == "F32":
            assert np.array_equal(actual, expected), plan.name
        else:
            assert np.array_equal(to_bfloat16(actual), to_bfloat16(expected)), plan.name
            assert not (actual.view(np.uint32) & 0xFFFF).any(), plan.name


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_llama_cpp_splits_code_as_the_base_tokenizer_does(
    architecture: str, make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    from cyllama.llama import llama_cpp
    from tokenizers import Tokenizer

    # The starter's tokenizer has merges enough to show how text is split.
    base = make_checkpoint(tmp_path / "base", architecture, layers=1, hidden=64, ffn=64, vocab_size=2100)
    if architecture == "starcoder2":
        (base / "tokenizer.json").write_bytes((STARTER_FOLDER / "tokenizer.json").read_bytes())
    (file,) = press(PressRequest(base, None, ("F16",), tmp_path / "out", "m"), console)
    llama_cpp.disable_logging()
    model = llama_cpp.LlamaModel(str(file.path), verbose=False)  # must outlive its vocabulary
    vocabulary = model.get_vocab()
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    standard_library = sorted(Path(os.__file__).parent.glob("*.py"))[:60]
    assert len(standard_library) == 60
    texts = [path.read_text() for path in standard_library]
    texts += [
        "  9 = 1234567\n\t\tx  12",
        "<fim_prefix>a = 1<fim_suffix>\n<fim_middle>",
        "ä½  \u3000 ﷽ 🦀 १२३",
    ]
    for text in texts:
        assert vocabulary.tokenize(text, False, True) == tokenizer.encode(text).ids


def test_llama_cpp_finds_the_fill_in_the_middle_tokens(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    from cyllama.llama import llama_cpp

    llama_cpp.disable_logging()
    expected = {"starcoder2": (1, 3, 2, 4, 5, 6), "starcoder": (1, 3, 2, 4, 18, -1)}
    for architecture, ids in expected.items():
        base = make_checkpoint(tmp_path / architecture, architecture, layers=1, hidden=64, ffn=64)
        (file,) = press(PressRequest(base, None, ("F16",), tmp_path / "out", architecture), console)
        model = llama_cpp.LlamaModel(str(file.path), verbose=False)  # must outlive its vocabulary
        vocabulary = model.get_vocab()
        found = ("prefix", "suffix", "middle", "pad", "rep", "sep")
        assert tuple(getattr(vocabulary, f"fim_{name}")() for name in found) == ids
        assert vocabulary.token_eos() == 0
        assert vocabulary.is_eog(0)
        assert not vocabulary.get_add_bos()
