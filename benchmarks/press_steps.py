"""One step of ``benchmarks/press.py``: a process that prints its figures as JSON.

Memory is the anonymous part of the resident set (``RssAnon``), sampled every 5 ms: pages of mapped files do
not count, since the kernel can drop them. Bytes are those read from and written to the disk
(``/proc/self/io``).
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import re
import resource
import runpy
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()
SHAPES = {  # hidden, ffn, heads, key heads, tied
    "tiny": (256, 1024, 4, 2, True),
    "3b": (3072, 12288, 24, 2, True),
    "7b": (4608, 18432, 36, 4, True),
    "15b": (6144, 24576, 48, 4, False),
}
SPECIAL = (
    "<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<repo_name>", "<file_sep>",
)  # fmt: skip


class Memory(threading.Thread):
    """Samples this process's anonymous memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0

    def run(self) -> None:
        """Samples every 5 ms."""
        while True:
            self.look()
            time.sleep(0.005)

    def look(self) -> None:
        """Samples once."""
        found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
        self.most = max(self.most, int(found[1]) * 1024 if found else 0)


def make(work: str, model: str, layers: str, vocabulary: str, rank: str) -> dict[str, Any]:
    """Makes a checkpoint of StarCoder2's shape with random weights, and an adapter for every linear layer."""
    import numpy as np

    from starfreight.checkpoint import read_config
    from starfreight.checkpoint.layout import expected_tensors

    hidden, ffn, heads, kv_heads, tied = SHAPES[model]
    base, adapter = Path(work, "base"), Path(work, "adapter")
    base.mkdir()
    adapter.mkdir()
    config = {
        "architectures": ["Starcoder2ForCausalLM"], "model_type": "starcoder2", "hidden_size": hidden,
        "intermediate_size": ffn, "num_hidden_layers": int(layers), "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "max_position_embeddings": 16384, "norm_epsilon": 1e-5,
        "rope_theta": 1e6, "tie_word_embeddings": tied, "use_bias": True, "vocab_size": int(vocabulary),
        "hidden_act": "gelu_pytorch_tanh", "dtype": "bfloat16", "bos_token_id": 0, "eos_token_id": 0,
    }  # fmt: skip
    (base / "config.json").write_text(json.dumps(config))
    (base / "tokenizer.json").write_text(json.dumps(tokenizer(int(vocabulary))))
    (base / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    random = np.random.default_rng(0)

    def weights(shape: tuple[int, ...], kind: str) -> bytes:
        values = random.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
        return values.tobytes() if kind == "F32" else (values.view(np.uint32) >> 16).astype("<u2").tobytes()

    shapes = expected_tensors(read_config(base / "config.json"))
    write(base / "model.safetensors", {name: ("BF16", shape) for name, shape in shapes.items()}, weights)
    linear = {name: shape for name, shape in shapes.items() if len(shape) == 2 and ".layers." in name}
    factors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, shape in linear.items():
        module = "base_model.model." + name.removesuffix(".weight")
        factors[f"{module}.lora_A.weight"] = ("F32", (int(rank), shape[1]))
        factors[f"{module}.lora_B.weight"] = ("F32", (shape[0], int(rank)))
    write(adapter / "adapter_model.safetensors", factors, weights)
    targets = sorted({name.split(".")[-2] for name in linear})
    settings = {"peft_type": "LORA", "r": int(rank), "lora_alpha": 2 * int(rank), "target_modules": targets}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    return {"parameters": sum(int(np.prod(shape)) for shape in shapes.values())}


def tokenizer(size: int) -> dict[str, Any]:
    """StarCoder2's rules with a vocabulary of bytes and pairs of bytes."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    alphabet = [chr(byte) for byte in visible] + [chr(256 + n) for n in range(256 - len(visible))]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    rules = [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
    ]
    merges = [[left, right] for left in alphabet for right in alphabet][: size - len(SPECIAL) - len(alphabet)]
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": n, "content": text, **flags} for n, text in enumerate(SPECIAL)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": rules},
        "decoder": rules[1],
        "model": {
            "type": "BPE",
            "vocab": {text: n for n, text in enumerate([*SPECIAL, *alphabet, *map("".join, merges)])},
            "merges": merges,
        },
    }  # fmt: skip


def write(
    path: Path,
    tensors: dict[str, tuple[str, tuple[int, ...]]],
    weights: Callable[[tuple[int, ...], str], bytes],
) -> None:
    """Writes a safetensors file tensor by tensor."""
    import numpy as np

    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, (kind, shape) in tensors.items():
        end = position + int(np.prod(shape)) * (4 if kind == "F32" else 2)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [position, end]}
        position = end
    raw = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(raw).to_bytes(8, "little") + raw)
        for kind, shape in tensors.values():
            stream.write(weights(shape, kind))


def merge(base: str, adapter: str, merged: str) -> dict[str, Any]:
    """Merges with peft in float32, rounds to the base's dtype and saves."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    PeftModel.from_pretrained(model, adapter).merge_and_unload().to(torch.bfloat16).save_pretrained(merged)
    for path in Path(base).glob("tokenizer*"):
        Path(merged, path.name).write_bytes(path.read_bytes())
    return {}


def convert(merged: str, target: str, converter: str) -> dict[str, Any]:
    """Runs llama.cpp's converter in this process, so that it is measured."""
    sys.argv = [converter, merged, "--outtype", "bf16", "--outfile", target]
    sys.path.insert(0, str(Path(converter).parent))
    # It recognises tokenizers by their output for a text, and does not know this one.
    model: Any = importlib.import_module("conversion.base").TextModel
    model.get_vocab_base_pre = lambda self, tokenizer: "starcoder"
    runpy.run_path(converter, run_name="__main__")
    return {}


def quantise(source: str, target: str, kind: str, threads: str) -> dict[str, Any]:
    """Runs llama.cpp's quantiser."""
    from cyllama.llama import llama_cpp

    from starfreight.quantization import FILE_TYPES, Quantization

    llama_cpp.disable_logging()
    params = llama_cpp.LlamaModelQuantizeParams()
    params.ftype, params.nthread = int(FILE_TYPES[Quantization.parse(kind)]), int(threads)
    llama_cpp.model_quantize(source, target, params)
    return {}


def hashed(path: str) -> dict[str, Any]:
    """The digest of a file."""
    with Path(path).open("rb") as stream:
        return {"digest": hashlib.file_digest(stream, "sha256").hexdigest()}


def press(base: str, adapter: str, name: str, threads: str, *kinds: str) -> dict[str, Any]:
    """Runs the press; returns the CPU time of its parts."""
    from starfreight.console import Console
    from starfreight.packager.press import PressRequest, chunks
    from starfreight.packager.press import press as press_all
    from starfreight.packager.press.gguf_stream import GgufStream

    parts: dict[str, float] = defaultdict(float)

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                parts[part] += time.thread_time() - began

        return wrapped

    watched: Any = chunks
    for attribute, part in {
        "_read": "read", "_round": "round", "add_update": "merge", "encode": "quantise",
        "_check_finite": "check",
    }.items():  # fmt: skip
        setattr(watched, attribute, timed(part, getattr(watched, attribute)))
    writer: Any = GgufStream
    writer.append = timed("write and hash", writer.append)
    chosen = None if adapter == "-" else Path(adapter)
    request = PressRequest(Path(base), chosen, kinds, Path(name + ".out"), "m", threads=int(threads))
    press_all(request, Console(quiet=True))
    return {"parts": parts}


def main() -> None:
    """Runs the step named on the command line."""
    memory = Memory()
    memory.start()
    steps: dict[str, Callable[..., dict[str, Any]]] = {
        "make": make, "merge": merge, "convert": convert, "quantise": quantise, "hash": hashed,
        "press": press,
    }  # fmt: skip
    more = steps[sys.argv[1]](*sys.argv[2:])
    memory.look()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    io = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    figures = {
        "seconds": time.perf_counter() - BEGAN,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": memory.most,
        "read": int(io["read_bytes"]),
        "written": int(io["write_bytes"]),
    }
    print(json.dumps(figures | more))


if __name__ == "__main__":
    main()
