"""The press against the whole reference chain, none of it ours: peft, llama.cpp's converter, its quantiser.

The converter is in no package. So ``golden/chain.json`` holds what the chain made, which every run of the
tests compares with the press. Where ``LLAMA_CPP`` names a folder with ``convert_hf_to_gguf.py`` (a checkout
of llama.cpp, or ``vendor/llama.cpp`` of llama-cpp-python's sdist), the chain itself is run, too, and has to
make the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import read_config
from starfreight.checkpoint.layout import expected_tensors
from starfreight.console import Console
from starfreight.files import canonical_json, sha256_bytes
from starfreight.packager.press import ModelIdentity, PressRequest, press

GOLDEN = Path(__file__).parents[2] / "golden" / "chain.json"
FILE_TYPE = "general.file_type"
"""The one key in which the files of a model differ."""

KINDS = ("F32", "F16", "BF16", "Q8_0", "Q5_K_M", "Q4_K_M", "Q3_K_M")
FLOATS = KINDS[:3]
ADDED = (
    "<acme>",
    "<|acme|>",
    "<pad>",
    "<mask>",
    "<unused7>",
    "[@BOS@]",
    "<\uff5cacme\uff5c>",
    "<2mass>",
    "acme",
)
"""Tokens that someone added and did not call special; the converter calls most of them so."""

CASES: dict[str, dict[str, Any]] = {
    "starcoder2, tied": {"hidden": 256, "ffn": 1024, "layers": 3, "spare": 0, "tied": True},
    "starcoder2, untied, resized": {
        "hidden": 256, "ffn": 1024, "layers": 2, "spare": 23, "tied": False, "added": ADDED,
    },
    "starcoder2, rows of 96": {
        "hidden": 96, "ffn": 384, "layers": 2, "spare": 70, "tied": True, "dtype": "F16",
    },
    "starcoder2, rows of 200": {
        "hidden": 64, "ffn": 200, "layers": 2, "spare": 5, "tied": False, "dtype": "F32",
    },
    "starcoder, tied": {"hidden": 256, "ffn": 1024, "layers": 3, "spare": 0, "tied": True},
    "starcoder, untied, resized": {
        "hidden": 256, "ffn": 1024, "layers": 2, "spare": 23, "tied": False, "added": ADDED,
    },
    "starcoder, rows of 96": {
        "hidden": 96, "ffn": 384, "layers": 2, "spare": 70, "tied": True, "dtype": "F16",
    },
    "starcoder, rows of 40": {
        "hidden": 40, "ffn": 160, "layers": 2, "spare": 5, "tied": False, "dtype": "F32",
    },
}  # fmt: skip
CONVERT = """
import importlib, runpy, sys
converter, pre = sys.argv[1:3]
sys.argv = sys.argv[2:]
sys.path.insert(0, converter)
if pre:
    # It knows tokenizers by what they make of a text, and has never met one of our making.
    importlib.import_module("conversion.base").TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
runpy.run_path(converter + "/convert_hf_to_gguf.py", run_name="__main__")
"""


@pytest.fixture(scope="session")
def llama_cpp() -> Path:
    """The folder with llama.cpp's converter, which the environment names."""
    folder = Path(os.environ["LLAMA_CPP"])
    assert (folder / "convert_hf_to_gguf.py").is_file(), "LLAMA_CPP names no folder with the converter"
    return folder


@pytest.fixture
def case(
    request: pytest.FixtureRequest,
    pin_base: Callable[..., Path],
    pin: Callable[..., Any],
    save_tensors: Callable[..., None],
    tmp_path: Path,
) -> tuple[Path, Path]:
    """The base of a case and its adapter, which is of every kind that a merge has to know."""
    architecture = request.param.split(",")[0]
    base = pin_base(tmp_path / "base", architecture, **CASES[request.param])
    shape = read_config(base / "config.json")
    tensors, targets = {}, set()
    dtype = "F32" if shape.tied else "BF16"
    for weight, (outputs, *inputs) in expected_tensors(shape).items():
        if not inputs or not (".layers." in weight or ".h." in weight):
            continue
        module = weight.removesuffix(".weight")
        targets.add(module.rsplit(".", 1)[1])
        rank = 3 if module.endswith("c_fc") else 8
        for letter, size in (("A", (rank, *inputs)), ("B", (outputs, rank))):
            key = f"base_model.model.{module}.lora_{letter}.weight"
            tensors[key] = pin(f"{module} {letter}", size, dtype)
    config: dict[str, Any] = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 24,
        "use_rslora": not request.param.endswith(", tied"), "rank_pattern": {"c_fc": 3},
        "alpha_pattern": {"layers.1.mlp.c_proj": 5, "h.1.mlp.c_proj": 5}, "target_modules": sorted(targets),
    }  # fmt: skip
    if not shape.tied:
        config["modules_to_save"] = ["lm_head"]
        size = (shape.vocab_size, shape.hidden)
        tensors["base_model.model.lm_head.weight"] = pin("another output", size, "F32")
    (tmp_path / "adapter").mkdir()
    save_tensors(tmp_path / "adapter" / "adapter_model.safetensors", tensors)
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    return base, tmp_path / "adapter"


def kinds_of(base: Path) -> tuple[str, ...]:
    """The kinds of file that the chain makes of a model."""
    shape = read_config(base / "config.json")
    if shape.hidden % 32:  # The quantiser stores no output layer of such rows.
        return FLOATS
    # Nor has it anything in the place of Q8_0.
    return tuple(kind for kind in KINDS if kind != "Q8_0" or shape.ffn % 32 == 0)


def fingerprint(gguf: Path) -> dict[str, Any]:
    """A file's keys with their types and values, lists as digests, and the digest of its tensors."""
    from gguf import GGUFReader

    reader = GGUFReader(gguf)
    keys = {}
    for name, entry in reader.fields.items():
        value = entry.contents()
        kept = sha256_bytes(canonical_json(value)) if isinstance(value, list) else value
        keys[name] = " ".join([*(kind.name for kind in entry.types), str(kept)])
    tensors = {
        tensor.name: [tensor.tensor_type.name, tensor.shape.tolist(), sha256_bytes(tensor.data.tobytes())]
        for tensor in reader.tensors
    }
    own = {key: keys.pop(key) for key in list(keys) if key.startswith("GGUF.") or key == FILE_TYPE}
    return {"keys": keys, FILE_TYPE: own[FILE_TYPE], "tensors": sha256_bytes(canonical_json(tensors))}


def merged_by_peft(base: Path, adapter: Path, target: Path) -> Path:
    """The merge in float32, rounded once to the base's dtype and saved."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    dtype = getattr(torch, json.loads((base / "config.json").read_text())["dtype"])
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, adapter).merge_and_unload().to(dtype).save_pretrained(target)
    for path in base.glob("tokenizer*"):
        (target / path.name).write_bytes(path.read_bytes())
    return target


def converted(llama_cpp: Path, model: Path, kind: str, target: Path, pre: str = "") -> Path:
    """What llama.cpp's converter makes of a model."""
    command = [
        sys.executable, "-c", CONVERT, str(llama_cpp), pre, str(model), "--outtype", kind.lower(),
        "--outfile", str(target), "--model-name", "Chain",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return target


def run_chain(
    llama_cpp: Path, base: Path, adapter: Path, pre: str, reference: Callable[..., bytes], work: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each kind and the fingerprint of the file that the chain makes."""
    from starfreight.packager.press import Quantization
    from starfreight.quantization import FILE_TYPES

    merged = merged_by_peft(base, adapter, work / "merged")
    dtype = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}[
        json.loads((base / "config.json").read_text())["dtype"]
    ]
    plain = converted(llama_cpp, merged, dtype, work / "plain.gguf", pre)
    for kind in kinds_of(base):
        target = work / f"{kind}.gguf"
        if kind in FLOATS:
            converted(llama_cpp, merged, kind, target, pre)
        else:
            reference(plain, target, int(FILE_TYPES[Quantization(kind)]))
        yield kind, fingerprint(target)


def pressed(
    base: Path, adapter: Path | None, out: Path, kinds: tuple[str, ...]
) -> Mapping[str, dict[str, Any]]:
    """Each kind and the fingerprint of the file that the press makes."""
    request = PressRequest(base, adapter, kinds, out, "m", ModelIdentity("Chain"))
    return {str(file.quantization): fingerprint(file.path) for file in press(request, Console(quiet=True))}


def assert_same(ours: Mapping[str, Any], chain: Mapping[str, Any]) -> None:
    """The same tensors, and every key that the chain writes."""
    shared = {key: ours["keys"].get(key) for key in chain["keys"]}
    assert {**ours, "keys": shared} == chain


@pytest.mark.parametrize("case", list(CASES), indirect=True)
def test_the_press_makes_what_the_chain_made(case: tuple[Path, Path], request: Any, tmp_path: Path) -> None:
    chain = json.loads(GOLDEN.read_text())[request.node.callspec.params["case"]]
    assert tuple(chain["files"]) == kinds_of(case[0])
    ours = pressed(*case, tmp_path / "out", tuple(chain["files"]))
    for kind, file in chain["files"].items():
        assert_same(ours[kind], {"keys": chain["keys"], **file})


@pytest.mark.parametrize("case", list(CASES), indirect=True)
def test_the_chain_still_makes_it(
    case: tuple[Path, Path], llama_cpp: Path, reference: Callable[..., bytes], request: Any, tmp_path: Path
) -> None:
    name = request.node.callspec.params["case"]
    pre = {"starcoder2": "starcoder", "starcoder": "refact"}[name.split(",")[0]]
    files = dict(run_chain(llama_cpp, *case, pre, reference, tmp_path))
    keys = [file.pop("keys") for file in files.values()]
    assert all(each == keys[0] for each in keys)
    made = {"keys": keys[0], "files": files}
    assert made == json.loads(GOLDEN.read_text())[name], json.dumps(made)


@pytest.mark.parametrize(
    ("architecture", "vocabulary"), [("starcoder2", "starcoder"), ("starcoder", "refact")]
)
def test_the_real_vocabularies_are_written_as_the_converter_writes_them(
    architecture: str, vocabulary: str, llama_cpp: Path, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    from gguf import GGUFReader

    fields = GGUFReader(llama_cpp / "models" / f"ggml-vocab-{vocabulary}.gguf").fields
    tokens, kinds, merges = (
        fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type", "merges")
    )
    sizes = {"hidden": 64, "ffn": 256, "layers": 1}
    base = make_checkpoint(tmp_path / "base", architecture, vocab_size=len(tokens) + 128, **sizes)
    file = json.loads((base / "tokenizer.json").read_text())
    flags = file["added_tokens"][0]
    file["added_tokens"] = [
        flags | {"id": number, "content": tokens[number]} for number, kind in enumerate(kinds) if kind == 3
    ]
    file["model"] |= {"vocab": {text: number for number, text in enumerate(tokens)}, "merges": merges}
    (base / "tokenizer.json").write_text(json.dumps(file))
    end = "<|endoftext|>"
    settings = dict.fromkeys(("bos_token", "eos_token", "unk_token"), end)
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    # No patch here: the converter finds the name of the tokenizer's rules out by itself.
    chain = fingerprint(converted(llama_cpp, base, "BF16", tmp_path / "chain.gguf"))
    assert_same(pressed(base, None, tmp_path / "out", ("BF16",))["BF16"], chain)
    assert tokenized_alike(tmp_path / "out" / "m-BF16.gguf", base / "tokenizer.json") == 60


def tokenized_alike(gguf: Path, tokenizer: Path) -> int:
    """How many of 60 files of the standard library llama.cpp and the base's own tokenizer split alike."""
    from cyllama.llama import llama_cpp as program
    from tokenizers import Tokenizer

    program.disable_logging()
    model = program.LlamaModel(str(gguf), verbose=False)  # must outlive its vocabulary
    vocabulary, own = model.get_vocab(), Tokenizer.from_file(str(tokenizer))
    texts = [path.read_text() for path in sorted(Path(os.__file__).parent.glob("*.py"))[:60]]
    return sum(vocabulary.tokenize(text, False, True) == own.encode(text).ids for text in texts)
