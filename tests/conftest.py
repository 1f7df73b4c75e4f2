"""Tiny models with random weights, made of the files that a real one has."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from starfreight.checkpoint import read_config
from starfreight.checkpoint.layout import expected_tensors
from starfreight.console import Console
from starfreight.files import sha256_bytes
from starfreight.package import BaseOrigin
from starfreight.packager.hashed_file import QuantizedFile
from starfreight.packager.layout.write_package import PackageContents
from starfreight.packager.model_description import LicenseText, ModelDescription
from starfreight.quantization import Quantization

# Plans in tests measure nothing, unless they are about measuring.
os.environ.setdefault("STARFREIGHT_NO_MEASURE", "1")

pytest_plugins = [
    "command_line",
    "installations",
    "manifest_checks",
    "private_ca",
    "private_sigstore",
    "recipe_files",
    "s3_server",
    "servers",
    "small_jobs",
    "softhsm",
    "token_server",
    "toy_kind",
]

FIM_TOKENS = ["<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>"]
SPECIAL_TOKENS = {
    "starcoder2": [*FIM_TOKENS, "<repo_name>", "<file_sep>"],
    "starcoder": [
        *FIM_TOKENS, "<filename>", "<gh_stars>", "<issue_start>", "<issue_comment>", "<issue_closed>",
        "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<empty_output>",
        "<commit_before>", "<commit_msg>", "<commit_after>", "<reponame>",
    ],
}  # fmt: skip
NUMPY_DTYPES = {"F32": np.float32, "F16": np.float16}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests that take minutes, unless this is a nightly run."""
    if not os.environ.get("STARFREIGHT_NIGHTLY"):
        for item in items:
            if item.get_closest_marker("nightly"):
                item.add_marker(pytest.mark.skip(reason="set STARFREIGHT_NIGHTLY=1"))


def pytest_runtest_setup() -> None:
    """Restores Ctrl-C for the processes that tests start: they inherit that a signal is ignored.

    A shell's background job ignores it, and so may this process after a library has been at work in it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


@pytest.fixture
def console() -> Console:
    """A console that says nothing."""
    return Console(quiet=True)


@pytest.fixture(scope="session")
def tokenizer_files() -> Mapping[str, bytes]:
    """``tokenizer.json`` of each architecture: StarCoder's rules, special tokens and ids, few merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    files = {}
    for architecture, special in SPECIAL_TOKENS.items():
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train([tokenize.__file__], trainer)
        files[architecture] = tokenizer.to_str(pretty=True).encode()
    return files


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, np.ndarray]]) -> None:
    """Writes a safetensors file from dtype names and arrays (bfloat16 as uint16)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, (dtype, array) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [position, position + array.nbytes],
        }
        position += array.nbytes
    raw = json.dumps(header).encode()
    path.write_bytes(
        len(raw).to_bytes(8, "little") + raw + b"".join(a.tobytes() for _, a in tensors.values())
    )


def stored(values: np.ndarray, dtype: str) -> tuple[str, np.ndarray]:
    """Float32 numbers as a safetensors entry; bfloat16 by cutting the low bits off."""
    if dtype == "BF16":
        return dtype, (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return dtype, values.astype(NUMPY_DTYPES[dtype])


@pytest.fixture(scope="session")
def save_tensors() -> Callable[[Path, Mapping[str, tuple[str, np.ndarray]]], None]:
    """:func:`write_safetensors`, for tests that make files of their own."""
    return write_safetensors


@pytest.fixture(scope="session")
def make_checkpoint(tokenizer_files: Mapping[str, bytes]) -> Callable[..., Path]:
    """Makes a base model's folder with random weights and returns it."""

    def make(
        folder: Path,
        architecture: str = "starcoder2",
        *,
        hidden: int = 256,
        ffn: int = 512,
        layers: int = 2,
        heads: int = 4,
        kv_heads: int = 2,
        vocab_size: int = 400,
        context: int = 256,
        tied: bool = True,
        dtype: str = "BF16",
        shards: int = 1,
        seed: int = 0,
    ) -> Path:
        folder.mkdir(parents=True)
        torch_dtype = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[dtype]
        common = {
            "vocab_size": vocab_size, "tie_word_embeddings": tied, "dtype": torch_dtype,
            "bos_token_id": 0, "eos_token_id": 0,
        }  # fmt: skip
        if architecture == "starcoder2":
            config = common | {
                "architectures": ["Starcoder2ForCausalLM"], "model_type": "starcoder2", "hidden_size": hidden,
                "intermediate_size": ffn, "num_hidden_layers": layers, "num_attention_heads": heads,
                "num_key_value_heads": kv_heads, "max_position_embeddings": context, "norm_epsilon": 1e-5,
                "rope_theta": 10000.0, "use_bias": True, "hidden_act": "gelu_pytorch_tanh",
                "sliding_window": None,
            }  # fmt: skip
        else:
            config = common | {
                "architectures": ["GPTBigCodeForCausalLM"], "model_type": "gpt_bigcode", "n_embd": hidden,
                "n_inner": ffn, "n_layer": layers, "n_head": heads, "n_positions": context,
                "layer_norm_epsilon": 1e-5, "multi_query": True, "activation_function": "gelu_pytorch_tanh",
            }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config, indent=2))
        (folder / "tokenizer.json").write_bytes(tokenizer_files[architecture])
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
        random = np.random.default_rng(seed)
        tensors = {}
        for name, shape in expected_tensors(read_config(folder / "config.json")).items():
            is_norm = any(part in name for part in ("norm", "ln_")) and name.endswith("weight")
            values = random.standard_normal(shape, dtype=np.float32) * (0.1 if len(shape) == 2 else 0.02)
            tensors[name] = stored(values + is_norm, dtype)
        if shards == 1:
            write_safetensors(folder / "model.safetensors", tensors)
            return folder
        weight_map = {name: f"model-{number % shards}.safetensors" for number, name in enumerate(tensors)}
        for shard in sorted(set(weight_map.values())):
            write_safetensors(
                folder / shard, {name: tensors[name] for name in tensors if weight_map[name] == shard}
            )
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        return folder

    return make


@pytest.fixture(scope="session")
def make_adapter() -> Callable[..., Path]:
    """Makes a LoRA adapter's folder in PEFT's layout with random weights and returns it."""

    def make(
        folder: Path,
        weights: Mapping[str, tuple[int, int]],
        *,
        rank: int = 4,
        alpha: float = 8,
        **config: Any,
    ) -> Path:
        folder.mkdir(parents=True)
        random = np.random.default_rng(1)
        tensors = {}
        for name, (outputs, inputs) in weights.items():
            module = "base_model.model." + name.removesuffix(".weight")
            for factor, shape in (("A", (rank, inputs)), ("B", (outputs, rank))):
                values = random.standard_normal(shape, dtype=np.float32) * 0.1
                tensors[f"{module}.lora_{factor}.weight"] = stored(values, "F32")
        write_safetensors(folder / "adapter_model.safetensors", tensors)
        settings = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "init_lora_weights": True} | config
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        return folder

    return make


@pytest.fixture(scope="session")
def require_service() -> Callable[[str], str]:
    """Finds a server's or client's program: a test without it fails on CI and is skipped elsewhere."""

    def find(name: str) -> str:
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if path is None and os.environ.get("CI") == "true":
            pytest.fail(f"the program {name} is not installed, and on CI it has to be")
        if path is None:
            pytest.skip(f"the program {name} is not installed")
        return path

    return find


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte, as root can mount one."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "small-disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine does not let a disk be mounted")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def make_contents(tmp_path: Path) -> Callable[..., PackageContents]:
    """Makes what a package is written from; its GGUF files are a few made-up bytes unless given."""

    def make(ggufs: Mapping[Quantization, bytes] | None = None, **changes: Any) -> PackageContents:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        files = []
        weights = ggufs or {Quantization.Q4_K_M: b"GGUF four bits", Quantization.Q8_0: b"GGUF eight bits"}
        for quantization, data in weights.items():
            path = folder / f"{quantization}.gguf"
            path.write_bytes(data)
            files.append(QuantizedFile(path, sha256_bytes(data), len(data), quantization))
        described: dict[str, Any] = {
            "name": "tiny-coder",
            "title": "Tiny coder",
            "description": "Completes very little.",
            "created": "2026-01-02T03:04:05Z",
            "run": "tiny-coder-0123456789",
            "recipe": "sha256:" + "1" * 64,
            "base": BaseOrigin(name="builtin:starter", digest="sha256:" + "2" * 64),
            "architecture": "starcoder2",
            "parameters": 2_754_048,
            "context_length": 256,
            "default": files[0].quantization,
            "licenses": (
                LicenseText(name="PSF-2.0", text=b"The license.\n"),
                LicenseText(name="MIT", text=b"Another license.\n"),
            ),
            "template": "{{ .Prompt }}",
            "settings": {"temperature": 0.2, "stop": ("<file_sep>", "<|endoftext|>")},
        }
        of_the_model = {key: changes.pop(key) for key in ModelDescription.model_fields.keys() & changes}
        contents = PackageContents(
            model=ModelDescription(**described | of_the_model),
            files=tuple(files),
            model_card=b"# Tiny coder\n",
            provenance=b'{"_type":"https://in-toto.io/Statement/v1","subject":[]}',
        )
        return replace(contents, **changes)

    return make
